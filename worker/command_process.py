"""A process that has imported dstack: it takes one request, acknowledges it, waits for the signal to run it, and becomes that command."""

import atexit
import gc
import os
import signal
import sys
import threading
import time
import traceback

import control_frames as frames
import environment_recorder
import introspect
import rich_consoles
import time_limit
import wire_gate
from entry_script import make_main, strip_own_frames
from pinned_file import pin_file


class _NewParsers(BaseException):
    """Ends the parked script, since the request needs parsers that are built in its own environment."""


class CommandProcess:
    """The process after the import. `run` never returns."""

    def __init__(self, dstack, link, on_parked):
        self._script, self._code = dstack.entry
        self._printed = dstack.printed
        self._link = link
        # Receives the names of the variables that the parsers read.
        self._on_parked = on_parked
        self._taken = None

    def check_room(self):
        """Raises OSError, before anything has run, if this process has too few resources for a command."""

    def on_go(self, request):
        """Called when the request may run, right before it does."""

    def run(self, park):
        try:
            if park:
                self._park()
            else:
                self._taken = self._take_request()
            end_process(self._run_script)
        except BaseException:
            traceback.print_exc()
        os._exit(70)

    def _park(self):
        """Makes the script stop where it first parses arguments, and take its request there."""
        import argparse

        original = argparse.ArgumentParser.parse_known_args

        def parse_parked(parser, *args, **kwargs):
            argparse.ArgumentParser.parse_known_args = original
            self._on_parked(environment_recorder.stop_recording())
            gc.freeze()
            taken = self._take_request()
            if taken[0]["mode"] == "shallow":
                self._taken = taken
                raise _NewParsers
            self._begin(*taken)
            return original(parser, *args, **kwargs)

        argparse.ArgumentParser.parse_known_args = parse_parked
        environment_recorder.start_recording()

    def _run_script(self):
        if self._taken is None:
            try:
                return exec(self._code, make_main(self._script, []))
            except _NewParsers:
                pass  # Not within this block: an error of the script would be chained to this one.
        namespace = make_main(self._script, [])
        self._begin(*self._taken)
        return exec(self._code, namespace)

    def _take_request(self):
        """Waits for a request, acknowledges it and waits for the signal to run it. Ends the process if that never comes."""
        kind, payload = self._link.receive()
        if kind != frames.REQUEST:
            os._exit(0)
        text, pinned = frames.split_request(payload)
        request = frames.from_json(text)
        try:
            os.chdir(request["cwd"])
            self.check_room()
        except OSError as error:
            self._link.send(frames.REFUSED, str(error).encode())
            os._exit(0)
        self._link.send(frames.ACKNOWLEDGED, frames.to_json({"pid": os.getpid()}))
        if self._link.receive()[0] != frames.GO:
            os._exit(0)
        return request, pinned

    def _begin(self, request, pinned):
        """Sets up the argv, environment and pinned file of the request. Answers a question right here, since it needs no command."""
        self.on_go(request)
        rich_consoles.unwatch_consoles()
        if request["env"]:
            os.environ.update(request["env"])
            if "TZ" in request["env"] and hasattr(time, "tzset"):
                time.tzset()
            rich_consoles.remake_consoles()
        is_ready = pin_file(request["pinned"], pinned) if request.get("pinned") else None
        if request.get("limitSeconds") is not None:
            time_limit.end_after(request["limitSeconds"])
        gc.enable()
        if "task" in request:
            end_process(lambda: introspect.answer(request["task"], self._script, self._code))
        if request.get("wire") is not None:
            wire_gate.install(request["wire"], self.tell, self._receive_answer, is_ready)
        for fd, content in self._printed.items():
            if content:
                os.write(fd, content)
        sys.argv[1:] = request["argv"]

    def _receive_answer(self):
        """Returns the server's answer about the first change. Ends the process if the server has ended."""
        kind, payload = self._link.receive()
        return frames.from_json(payload) if kind == frames.ANSWER else None

    def tell(self, event):
        """Reports an event of the gate. An error keeps the request from being sent."""
        self._link.send(frames.WIRE, frames.to_json(event))


def end_process(body):
    """Runs the body and ends the process like the interpreter: traceback, threads, exit handlers, streams, exit code."""
    code = _run_to_code(body)
    _call_quietly(threading._shutdown)
    _call_quietly(atexit._run_exitfuncs)
    try:
        sys.stdout.flush()
    except BaseException:
        code = 120
    _call_quietly(sys.stderr.flush)
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _run_to_code(body):
    try:
        body()
    except SystemExit as error:
        return _code_of(error.code)
    except BaseException as error:
        stripped = strip_own_frames(error)
        sys.excepthook(type(stripped), stripped, stripped.__traceback__)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _code_of(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    _call_quietly(sys.stdout.flush)
    print(code, file=sys.stderr)
    return 1


def _call_quietly(function):
    try:
        function()
    except BaseException:
        pass
