"""Runs in a forked child: takes one request, acknowledges it, waits for the signal to run it, and becomes that dstack command."""

import atexit
import ctypes
import gc
import json
import mmap
import os
import resource
import signal
import sys
import threading
import time
import traceback

import environment_recorder
import introspect
import rich_consoles
import time_limit
import wire_gate
from entry_script import make_main, strip_own_frames
from pinned_file import pin_file

PARKED = b"p"
ACKNOWLEDGED = b"a"
FAILED = b"f"
WIRE = b"w"
GO = b"G"

# A command needs only a fraction of these.
NEEDED_DESCRIPTORS = 128
NEEDED_MEMORY = 64 << 20

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def set_parent_death_signal(number, parent):
    """Makes the kernel send the signal when the parent ends, in any way."""
    _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    return os.getppid() == parent


class ChildProcess:
    """The child after the fork. It never returns."""

    def __init__(self, entry, channel, printed):
        self._script, self._code = entry
        self._channel = channel
        self._printed = printed

    def run(self, parent, standard_fds, park):
        try:
            self._become_a_process(parent, standard_fds)
            if park:
                self._park()
            self._run_script(self._take_request() if not park else None)
        except BaseException:
            traceback.print_exc()
        os._exit(70)

    def _become_a_process(self, parent, standard_fds):
        if not set_parent_death_signal(signal.SIGKILL, parent):
            os._exit(0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        for number, fd in enumerate(standard_fds):
            os.dup2(fd, number)
        self._close_everything_else()

    def _close_everything_else(self):
        # A copy of the control channel or of another child's pipes would keep them from ever ending.
        keep = self._channel.fileno()
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            if fd > 2 and fd != keep:
                try:
                    os.close(fd)
                except OSError:
                    pass  # the descriptor of the listing itself

    def _park(self):
        """Makes the script stop where it first parses arguments, and take its request there."""
        import argparse

        original = argparse.ArgumentParser.parse_known_args

        def parse_parked(parser, *args, **kwargs):
            argparse.ArgumentParser.parse_known_args = original
            baked = environment_recorder.stop_recording()
            gc.freeze()
            self._channel.sendall(PARKED + _with_length(json.dumps(baked).encode()))
            self._begin(self._take_request())
            return original(parser, *args, **kwargs)

        argparse.ArgumentParser.parse_known_args = parse_parked
        environment_recorder.start_recording()

    def _take_request(self):
        """Waits for a request, acknowledges it and waits for the signal to run it. Ends the process if that never comes."""
        request, pinned = self._receive_request()
        try:
            os.chdir(request["cwd"])
            check_room()
        except OSError as error:
            self._channel.sendall(FAILED + _with_length(str(error).encode()))
            os._exit(0)
        self._channel.sendall(ACKNOWLEDGED)
        if self._channel.recv(1) != GO:
            os._exit(0)
        return request, pinned

    def _receive_request(self):
        header = self._receive(8)
        request = json.loads(self._receive(int.from_bytes(header[:4], "big")))
        return request, self._receive(int.from_bytes(header[4:], "big"))

    def _receive(self, length):
        content = bytearray()
        while len(content) < length:
            piece = self._channel.recv(length - len(content))
            if not piece:
                os._exit(0)
            content += piece
        return bytes(content)

    def _begin(self, taken):
        """Sets up the argv, environment and pinned file of the request. Answers a question right here, since it needs no command."""
        request, pinned = taken
        rich_consoles.unwatch_consoles()
        if request["env"]:
            os.environ.update(request["env"])
            if "TZ" in request["env"]:
                time.tzset()
            rich_consoles.remake_consoles()
        if request.get("pinned"):
            pin_file(request["pinned"], pinned)
        if request.get("limitSeconds") is not None:
            time_limit.end_after(request["limitSeconds"])
        gc.enable()
        if "task" not in request:
            self._judge_requests(request.get("wire"))
        if "task" in request:
            end_process(lambda: introspect.answer(request["task"], self._script, self._code))
        for fd, content in self._printed.items():
            if content:
                os.write(fd, content)
        sys.argv[1:] = request["argv"]

    def _judge_requests(self, rule):
        """Puts the gate on dstack's requests in place, whose events go to the worker."""
        if rule is None:
            self._channel.close()
            return
        wire_gate.install(rule, lambda event: self._channel.sendall(WIRE + _with_length(json.dumps(event).encode())))

    def _run_script(self, taken):
        namespace = make_main(self._script, [])
        if taken is not None:
            self._begin(taken)
        end_process(lambda: exec(self._code, namespace))


def check_room():
    """Raises OSError, before anything has run, if this process has too few resources for a command."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors != resource.RLIM_INFINITY and descriptors < NEEDED_DESCRIPTORS:
        raise OSError("only %d descriptors may be open" % descriptors)
    mmap.mmap(-1, NEEDED_MEMORY).close()


def _with_length(content):
    return len(content).to_bytes(4, "big") + content


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
