"""Records which environment variables a program reads: their values are baked into what it builds from them."""

import os
import sys

# Read by the interpreter, the C library or OpenSSL when the process starts, which a recorder in Python doesn't see.
BAKED_BY_THE_PROCESS = ("PYTHON*", "LC_*", "LANG", "LANGUAGE", "LD_*", "GLIBC_TUNABLES", "MALLOC_*", "OPENSSL_*")
EVERYTHING = "*"

_names = set()
_muted = 0


class _RecordingEnviron(type(os.environ)):
    def __getitem__(self, name):
        _note(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        _note(name)
        return super().__contains__(name)

    def __iter__(self):
        _note_everything()
        return super().__iter__()

    def copy(self):
        _note_everything()
        with muted():
            return super().copy()


def _note(name):
    if not _muted and isinstance(name, str):
        _names.add(name)


def _note_everything():
    # GitPython runs `git version` on import, with a copy of the environment, and keeps only the version.
    if not _muted:
        _names.update(("PATH", "GIT_*") if _is_called_from("git.cmd") else (EVERYTHING,))


def _is_called_from(module):
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False


def start_recording():
    """Starts to record every variable that is read. The mapping stays the same object, since others refer to it."""
    os.environ.__class__ = _RecordingEnviron


def stop_recording():
    """Stops recording and returns the names that were read since the last call."""
    os.environ.__class__ = _RecordingEnviron.__mro__[1]
    return take_names()


def take_names():
    names = sorted(_names)
    _names.clear()
    return names


class muted:
    """Doesn't record reads inside this block: what was built from them will be rebuilt."""

    def __enter__(self):
        global _muted
        _muted += 1

    def __exit__(self, *_error):
        global _muted
        _muted -= 1
