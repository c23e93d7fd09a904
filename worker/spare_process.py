"""Imports dstack, waits, and becomes one command: the warm process of systems where a fork isn't safe.

Usage: <interpreter> -B spare_process.py <dstack script>. Descriptor 3 carries frames from the server and stays open while the server
runs; descriptor 4 carries frames to it. The standard streams are those of the command.
"""

import io
import os
import sys
import tempfile
import threading

# With PYTHONSAFEPATH, the interpreter doesn't search the folder of the script.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import control_frames as frames
import preload
from command_process import CommandProcess
from end_tree import end_tree
from loaded_dstack import LoadedDstack
from process_link import ProcessLink

REQUEST_FD = 3
EVENTS_FD = 4


class SpareProcess(CommandProcess):
    def on_go(self, request):
        if request["outlivesServer"]:
            keep_writing()
        else:
            threading.Thread(target=self._end_with_server, daemon=True).start()

    def tell(self, event):
        try:
            super().tell(event)
        except OSError:
            pass  # The server has ended; a change that it left running finishes.

    def _end_with_server(self):
        self._link.wait_for_end()
        end_tree(1)


class _SteadyOutput(io.FileIO):
    """Goes on without a reader."""

    def write(self, content):
        try:
            return super().write(content)
        except OSError:
            return len(content)


def keep_writing():
    """Keeps a change from failing halfway because the server that reads its output has ended."""
    sys.stdout = _rewrapped(sys.stdout)
    sys.stderr = _rewrapped(sys.stderr)


def _rewrapped(stream):
    raw = _SteadyOutput(stream.fileno(), "wb", closefd=False)
    newline = "\n" if os.linesep == "\n" else _line_end(stream)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, newline, stream.line_buffering, stream.write_through
    )


def _line_end(stream):
    """Returns what a text stream writes for the end of a line, which it doesn't tell."""
    fd = stream.fileno()
    original = os.dup(fd)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), fd)
        stream.write("\n")
        stream.flush()
        os.dup2(original, fd)
        os.close(original)
        written.seek(0)
        return written.read().decode("ascii")


def main(script):
    for fd in (REQUEST_FD, EVENTS_FD):
        os.set_inheritable(fd, False)
    link = ProcessLink(REQUEST_FD, EVENTS_FD)
    dstack = LoadedDstack(script)

    def say_ready(baked):
        link.send(frames.READY, frames.to_json({**dstack.description, "bakedAtPark": baked}))

    if preload.is_editable():
        link.send(frames.READY, frames.to_json({"declined": preload.EDITABLE}))
        return
    SpareProcess(dstack, link, say_ready).run(park=True)


if __name__ == "__main__":
    main(sys.argv[1])
