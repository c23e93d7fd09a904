"""Runs dstack's entry script in a plain process, with a gate on its requests and, if given, one file served from memory.

Usage: <interpreter> -B launch_dstack.py <dstack script> <argument>...
File descriptor 3 carries: the length of a description (4 bytes, big-endian), the description (JSON: `wire`, the rule of the gate,
`limitSeconds`, after which the process ends, and `pinned`, the path of the file), the content of the file, and, if the gate asks for
it, one line of JSON that says which changes may be sent. Nothing runs unless description and content arrived completely. Descriptor 4
takes the events of the gate, one line of JSON each.
"""

import json
import os
import sys

# With PYTHONSAFEPATH the interpreter doesn't search the folder of the script that it runs.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import control_frames as frames
import time_limit
import wire_gate
from entry_script import compile_entry, make_main, strip_own_frames, use_path_of
from pinned_file import pin_file

REQUEST_FD = 3
EVENTS_FD = 4
EXIT_NOT_STARTED = 70


def read_exactly(stream, length):
    content = stream.read(length)
    if len(content) != length:
        raise EOFError("the request arrived incomplete")
    return content


def read_request(stream):
    description = json.loads(read_exactly(stream, int.from_bytes(read_exactly(stream, 4), "big")))
    content = read_exactly(stream, description.get("pinnedLength", 0))
    # Only an answer may follow, once the gate asks for it.
    if not (description.get("wire") or {}).get("asks") and stream.read():
        raise EOFError("the request has a wrong length")
    return description, content


def read_answer(stream):
    """Returns the server's answer about the first change; None if the server has ended."""
    try:
        return json.loads(stream.readline())
    except ValueError:
        return None


def tell(event):
    line = frames.to_json(event) + b"\n"
    try:
        while line:
            line = line[os.write(EVENTS_FD, line) :]
    except OSError:
        pass  # The server has ended; a change that it left running finishes.


def show_without_own_frames(default_hook):
    def show(kind, error, _traceback):
        stripped = strip_own_frames(error)
        default_hook(kind, stripped, stripped.__traceback__)

    return show


def launch(script, argv):
    try:
        stream = os.fdopen(REQUEST_FD, "rb")
        os.set_inheritable(REQUEST_FD, False)
        description, content = read_request(stream)
        if description.get("limitSeconds") is not None:
            time_limit.end_after(description["limitSeconds"])
        code = compile_entry(script)
        use_path_of(script)
        is_ready = pin_file(description["pinned"], content) if description.get("pinned") is not None else None
        if description.get("wire") is not None:
            os.set_inheritable(EVENTS_FD, False)
            wire_gate.install(description["wire"], tell, lambda: read_answer(stream), is_ready)
    except Exception as error:
        sys.stderr.write("dstack was not started: %s\n" % (error,))
        sys.exit(EXIT_NOT_STARTED)
    namespace = make_main(script, argv)
    sys.excepthook = show_without_own_frames(sys.excepthook)
    exec(code, namespace)


launch(sys.argv[1], sys.argv[2:])
