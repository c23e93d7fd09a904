"""Runs dstack's entry script with one file answered from memory, in a plain process.

Usage: <interpreter> -B launch_pinned.py <dstack script> <argument>...
File descriptor 3 carries: the length of the path (4 bytes, big-endian), the path (UTF-8), the length of the content
(4 bytes, big-endian), the content; then it ends. Nothing runs unless all of it arrived.
"""

import os
import sys

# With PYTHONSAFEPATH the interpreter doesn't look beside the script that it runs.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from entry_script import compile_entry, make_main, strip_own_frames, use_path_of
from pinned_file import pin_file

PINNED_FD = 3
EXIT_NOT_STARTED = 70


def read_exactly(stream, length):
    content = stream.read(length)
    if len(content) != length:
        raise EOFError("the pinned file arrived incomplete")
    return content


def read_pinned():
    with os.fdopen(PINNED_FD, "rb") as stream:
        path = read_exactly(stream, int.from_bytes(read_exactly(stream, 4), "big"))
        content = read_exactly(stream, int.from_bytes(read_exactly(stream, 4), "big"))
        if stream.read(1):
            raise ValueError("more arrived than the pinned file")
    return os.fsdecode(path), content


def show_without_own_frames(default_hook):
    def show(kind, error, _traceback):
        stripped = strip_own_frames(error)
        default_hook(kind, stripped, stripped.__traceback__)

    return show


def launch(script, argv):
    try:
        path, content = read_pinned()
        code = compile_entry(script)
    except Exception as error:
        sys.stderr.write("dstack was not started: %s\n" % (error,))
        sys.exit(EXIT_NOT_STARTED)
    use_path_of(script)
    namespace = make_main(script, argv)
    sys.excepthook = show_without_own_frames(sys.excepthook)
    pin_file(path, content)
    exec(code, namespace)


launch(sys.argv[1], sys.argv[2:])
