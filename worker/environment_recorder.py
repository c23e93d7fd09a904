"""Tells which environment variables a program read: their values are baked into what it built from them."""

import os
import sys

# Read by the interpreter, the C library or OpenSSL when the process starts, which no recorder of ours sees.
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
    # GitPython runs `git version` when it is imported, with a copy of the environment: the version is all that stays.
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
    """From here on every variable that is read is noted. The mapping stays the same object: others hold it."""
    os.environ.__class__ = _RecordingEnviron


def stop_recording():
    """Ends the recording and gives the names that were read since the last call."""
    os.environ.__class__ = _RecordingEnviron.__mro__[1]
    return take_names()


def take_names():
    names = sorted(_names)
    _names.clear()
    return names


class muted:
    """Reads inside this block aren't noted: what was made from them will be made anew."""

    def __enter__(self):
        global _muted
        _muted += 1

    def __exit__(self, *_error):
        global _muted
        _muted -= 1
