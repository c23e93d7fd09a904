"""Answers `open()` for one path from memory, so that dstack reads exactly the bytes that were approved."""

import builtins
import io
import os
import sys


class PinnedFileError(Exception):
    """The file was about to be read from the disk instead of from memory."""


class _PinnedBytes(io.BytesIO):
    """An open file whose content is in memory. It carries the name it was opened by: YAML's error messages quote it."""

    def __init__(self, content, name):
        super().__init__(content)
        self.name = name
        self.mode = "rb"


def _is_path(file):
    return isinstance(file, (str, bytes)) or hasattr(file, "__fspath__")


def _spellings(path):
    """The absolute forms in which the path may be asked for: as it was given, and with links resolved."""
    absolute = os.path.abspath(path)
    folder, name = os.path.split(absolute)
    return {absolute, os.path.join(os.path.realpath(folder), name), os.path.realpath(absolute)}


def pin_file(path, content):
    """From here on every reading `open(path)` in this process gives `content`, whatever stands on the disk."""
    spellings = _spellings(path)
    real_open = io.open
    served = False

    def is_pinned(file):
        return _is_path(file) and os.path.abspath(os.fsdecode(file)) in spellings

    def open_pinned(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
        nonlocal served
        if not is_pinned(file) or any(letter in mode for letter in "wax+"):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        served = True
        stream = _PinnedBytes(content, file)
        if "b" in mode:
            return stream
        text = io.TextIOWrapper(stream, encoding, errors, newline)
        text.mode = mode
        return text

    def refuse_unpinned(event, args):
        # A way of reading that isn't patched below would bypass the approval. Once the bytes were served, later readings
        # (an upload of the folder, say) are of the folder as it is.
        if event == "open" and not served and args and is_pinned(args[0]) and _reads(args):
            raise PinnedFileError("%s is read in a way that can't be held to the approved content" % (path,))

    builtins.open = open_pinned
    io.open = open_pinned
    _patch_pathlib(open_pinned)
    sys.addaudithook(refuse_unpinned)


def _reads(audit_args):
    """Whether an audited `open` (path, mode, flags) reads. The mode is None for os.open."""
    mode = audit_args[1] if len(audit_args) > 1 else None
    if isinstance(mode, str):
        return not any(letter in mode for letter in "wax")
    flags = audit_args[2] if len(audit_args) > 2 else os.O_RDONLY
    return (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) == os.O_RDONLY and not flags & getattr(os, "O_DIRECTORY", 0)


def _patch_pathlib(open_pinned):
    # Python 3.10's pathlib took a copy of io.open when it was imported.
    import pathlib

    accessor = getattr(pathlib, "_NormalAccessor", None)
    if accessor is not None and hasattr(accessor, "open"):
        accessor.open = staticmethod(open_pinned)
