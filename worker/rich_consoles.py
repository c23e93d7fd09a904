"""Recreates rich's consoles after the environment has changed: they determine width and color on creation."""

import environment_recorder

_made = []
_original_init = None


def watch_consoles():
    """Records each console that is created, with its arguments."""
    global _original_init
    try:
        from rich.console import Console
    except ImportError:
        return
    _original_init = Console.__init__

    def noting_init(self, *args, **kwargs):
        with environment_recorder.muted():
            _original_init(self, *args, **kwargs)
        _made.append((self, args, kwargs))

    Console.__init__ = noting_init


def unwatch_consoles():
    if _original_init is not None:
        from rich.console import Console

        Console.__init__ = _original_init


def remake_consoles():
    """Updates width and color of each console to the current environment. They stay the same objects, since others refer to them."""
    from rich.console import Console

    for console, args, kwargs in _made:
        console.__dict__.update(Console(*args, **kwargs).__dict__)
