"""Makes rich's consoles anew after a change of the environment: they fix width and colour when they are made."""

import environment_recorder

_made = []
_original_init = None


def watch_consoles():
    """Notes each console that is made, with its arguments."""
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
    """Gives each console the width and colour of the present environment. Others hold them, so they stay the same objects."""
    from rich.console import Console

    for console, args, kwargs in _made:
        console.__dict__.update(Console(*args, **kwargs).__dict__)
