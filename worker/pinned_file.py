"""Serves `open()` for one path from memory, so that dstack reads exactly the approved bytes."""

import builtins
import io
import os
import sys


class PinnedFileError(Exception):
    """The file was about to be read from disk instead of memory."""


class _PinnedBytes(io.BytesIO):
    """An open file with its content in memory. It has the name it was opened with, which YAML's error messages quote."""

    def __init__(self, content, name):
        super().__init__(content)
        self.name = name
        self.mode = "rb"


def _is_path(file):
    return isinstance(file, (str, bytes)) or hasattr(file, "__fspath__")


def _spellings(path):
    """Returns the absolute forms of a path: with and without resolved links."""
    absolute = os.path.abspath(path)
    folder, name = os.path.split(absolute)
    return {absolute, os.path.join(os.path.realpath(folder), name), os.path.realpath(absolute)}


def pin_file(path, content):
    """Makes every reading `open(path)` in this process return `content`, regardless of the file on disk.

    Returns a function that says whether it was read: if its folder was moved, another file is read under its name.
    """
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
        # A way of reading that isn't patched would bypass the approval. Once the bytes were served, later reads (such as an
        # upload of the folder) get the current files.
        if event == "open" and not served and args and is_pinned(args[0]) and _reads(args):
            raise PinnedFileError("%s is read in a way that can't be restricted to the approved content" % (path,))

    builtins.open = open_pinned
    io.open = open_pinned
    _patch_pathlib(open_pinned)
    sys.addaudithook(refuse_unpinned)
    return lambda: served


def _reads(audit_args):
    """Returns whether an audited `open` (path, mode, flags) reads. The mode is None for os.open."""
    mode = audit_args[1] if len(audit_args) > 1 else None
    if isinstance(mode, str):
        return not any(letter in mode for letter in "wax")
    flags = audit_args[2] if len(audit_args) > 2 else os.O_RDONLY
    return (flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) == os.O_RDONLY and not flags & getattr(os, "O_DIRECTORY", 0)


def _patch_pathlib(open_pinned):
    # Python 3.10's pathlib copies io.open on import.
    import pathlib

    accessor = getattr(pathlib, "_NormalAccessor", None)
    if accessor is not None and hasattr(accessor, "open"):
        accessor.open = staticmethod(open_pinned)
