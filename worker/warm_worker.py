"""Keeps dstack's modules in memory and forks a child for each command.

Usage: <interpreter> -B warm_worker.py <dstack script>, with the control channel (a stream socket) on descriptor 3.
When the channel closes, the worker ends: it terminates commands that read, and lets changes finish within a limit.
"""

import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import time

# With PYTHONSAFEPATH, the interpreter doesn't search the folder of the script.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import child_process
import control_frames as frames
import preload
from child_handle import CHUNK, ChildHandle
from entry_script import compile_entry, use_path_of

CONTROL_FD = 3
# A new parked child is forked only after the one that was used has had its first time slice.
REFILL_DELAY = 0.03
# If parking fails repeatedly, commands are forked before the entry script runs: slower, but equally correct.
PARKING_ATTEMPTS = 3
HAND_OVER_ATTEMPTS = 3
# The server may be slower than a command's output: above this limit, commands wait in their pipes.
UNSENT_LIMIT = 4 << 20
# A replace waits for the old run to stop before it submits the new one.
CHANGE_GRACE = 300.0
TERMINATION_GRACE = 2.0


class Worker:
    def __init__(self, entry, printed):
        self._entry = entry
        self._printed = printed
        self._control = socket.socket(fileno=CONTROL_FD)
        self._control.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._children = {}
        self._by_request = {}
        self._parked = None
        self._parking_failures = 0
        self._refill_at = None
        self._ready = None
        self._paused = False
        self._deadline = None

    def run(self, ready):
        self._ready = ready
        self._watch_signals()
        self._selector.register(self._control, selectors.EVENT_READ, (self._on_control, None))
        self._refill()
        while not (self._deadline and not self._children):
            for key, events in self._selector.select(self._timeout()):
                callback, child = key.data
                callback(child, events)
            self._on_time()

    # Timing

    def _timeout(self):
        moments = [moment for moment in (self._refill_at, self._deadline and self._deadline[0]) if moment is not None]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _on_time(self):
        now = time.monotonic()
        if self._refill_at is not None and now >= self._refill_at:
            self._refill_at = None
            self._refill()
        if self._deadline and now >= self._deadline[0]:
            self._deadline[1]()

    # Signals

    def _watch_signals(self):
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C in the server's terminal is for the server; the worker ends with it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._wakeup = read
        self._selector.register(read, selectors.EVENT_READ, (self._on_signal, None))

    def _on_signal(self, _child, _events):
        try:
            os.read(self._wakeup, CHUNK)
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.get(pid)
            if child is not None:
                child.status = status
                self._on_end(child)

    # The parked child

    def _refill(self):
        if self._parked is not None or self._deadline or self._parking_failures >= PARKING_ATTEMPTS:
            return self._say_ready([])
        try:
            self._parked = self._fork(park=True)
        except (OSError, MemoryError):
            self._say_ready([])
            self._refill_at = time.monotonic() + 1.0

    def _say_ready(self, baked_at_park):
        if self._ready is not None:
            self._put(frames.READY, 0, json.dumps({**self._ready, "bakedAtPark": baked_at_park}).encode())
            self._ready = None

    def _fork(self, park):
        child = ChildHandle.fork(self._entry, self._printed, park)
        self._children[child.pid] = child
        self._selector.register(child.channel, selectors.EVENT_READ, (self._on_channel, child))
        return child

    # The server

    def _put(self, kind, request, payload=b""):
        if self._deadline:
            return
        self._outgoing += frames.encode(kind, request, payload)
        self._flush()

    def _flush(self):
        if self._deadline:
            return
        try:
            while self._outgoing:
                sent = self._control.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            return self._shut_down()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._selector.modify(self._control, events, (self._on_control, None))
        self._pause(len(self._outgoing) > UNSENT_LIMIT)

    def _pause(self, pause):
        if pause == self._paused:
            return
        self._paused = pause
        for child in self._children.values():
            for fd in (child.stdout, child.stderr):
                if fd >= 0 and child.request is not None and child.going:
                    self._watch_output(child, fd)

    def _watch_output(self, child, fd):
        registered = fd in self._selector.get_map()
        if self._paused and registered:
            self._selector.unregister(fd)
        elif not self._paused and not registered:
            self._selector.register(fd, selectors.EVENT_READ, (self._on_output, child))

    def _on_control(self, _child, events):
        if events & selectors.EVENT_WRITE:
            self._flush()
        if self._deadline or not events & selectors.EVENT_READ:
            return
        try:
            data = self._control.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            return self._shut_down()
        self._incoming += data
        for kind, request, payload in frames.take_frames(self._incoming):
            self._handle(kind, request, payload)

    def _handle(self, kind, request, payload):
        if kind == frames.PING:
            return self._put(frames.PONG, request)
        if kind == frames.REQUEST:
            return self._hand_over(request, payload)
        child = self._by_request.get(request)
        if child is None:
            return None  # it has just exited
        if kind == frames.KILL:
            child.abandoned = True
            return child.send_signal(int(payload))
        if kind == frames.GO:
            return self._let_go(child)
        return None

    # One request

    def _hand_over(self, request, payload, attempt=1):
        if self._deadline:
            return None
        if attempt > HAND_OVER_ATTEMPTS:
            return self._put(frames.REFUSED, request, b"the children of the worker die before they take a request")
        length = int.from_bytes(payload[:4], "big")
        try:
            description = json.loads(payload[4 : 4 + length])
            parked = self._parked if description["mode"] == "parked" else None
            if parked is not None:
                self._parked = None
            child = parked or self._fork(park=False)
        except (OSError, MemoryError) as error:
            return self._put(frames.REFUSED, request, (str(error) or "out of memory").encode())
        input_length = description.get("inputLength", 0)
        rest = payload[4 + length :]
        child.request = request
        child.payload = payload
        child.attempt = attempt
        child.input = rest[:input_length]
        child.outlives_server = bool(description.get("outlivesServer"))
        self._by_request[request] = child
        pinned = rest[input_length:]
        text = payload[4 : 4 + length]
        child.unsent += len(text).to_bytes(4, "big") + len(pinned).to_bytes(4, "big") + text + pinned
        self._send_to(child)
        if self._refill_at is None:
            self._refill_at = time.monotonic() + REFILL_DELAY
        return None

    def _send_to(self, child):
        if child.channel is None:
            return  # it died: its exit will be handled
        try:
            while child.unsent:
                sent = child.channel.send(child.unsent)
                del child.unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            child.unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.unsent else 0)
        self._selector.modify(child.channel, events, (self._on_channel, child))

    def _on_channel(self, child, events):
        if child.channel is None:
            return  # its exit was handled in the same round
        if events & selectors.EVENT_WRITE:
            self._send_to(child)
        if events & selectors.EVENT_READ:
            self._read_channel(child)

    def _read_channel(self, child):
        """Reads what the child sent. Returns whether there may be more."""
        try:
            data = child.channel.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._on_child_message(child, data)
        else:
            self._forget_channel(child)
        return bool(data)

    def _on_child_message(self, child, data):
        child.messages += data
        while child.messages:
            kind = bytes(child.messages[:1])
            if kind == child_process.ACKNOWLEDGED:
                del child.messages[:1]
                child.acknowledged = True
                self._put(frames.ACKNOWLEDGED, child.request, json.dumps({"pid": child.pid}).encode())
                continue
            length = int.from_bytes(child.messages[1:5], "big")
            if len(child.messages) < 5 + length:
                return
            content = bytes(child.messages[5 : 5 + length])
            del child.messages[: 5 + length]
            if kind == child_process.PARKED:
                self._parking_failures = 0
                self._say_ready(json.loads(content))
            elif kind == child_process.WIRE:
                self._put(frames.WIRE, child.request, content)
            else:
                self._refuse(child, content)

    def _refuse(self, child, reason):
        self._put(frames.REFUSED, child.request, reason)
        self._by_request.pop(child.request, None)
        child.request = None

    def _let_go(self, child):
        if not child.acknowledged or child.going or child.channel is None:
            return
        child.going = True
        child.unsent += child_process.GO
        self._send_to(child)
        for fd in (child.stdout, child.stderr):
            self._watch_output(child, fd)
        if child.input:
            self._selector.register(child.stdin, selectors.EVENT_WRITE, (self._on_stdin, child))
        else:
            self._close_stdin(child)

    def _on_stdin(self, child, _events):
        if child.stdin < 0:
            return
        try:
            sent = os.write(child.stdin, child.input[:CHUNK])
            child.input = child.input[sent:]
        except BlockingIOError:
            return
        except OSError:
            child.input = b""  # it no longer reads
        if not child.input:
            self._selector.unregister(child.stdin)
            self._close_stdin(child)

    def _close_stdin(self, child):
        if child.stdin >= 0:
            os.close(child.stdin)
            child.stdin = -1

    def _on_output(self, child, _events):
        for name, fd in (("stdout", child.stdout), ("stderr", child.stderr)):
            if fd >= 0 and self._read_output(child, name, fd) == b"":
                if fd in self._selector.get_map():
                    self._selector.unregister(fd)
                os.close(fd)
                setattr(child, name, -1)

    def _read_output(self, child, name, fd):
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return None
        if data:
            self._put(frames.STDOUT if name == "stdout" else frames.STDERR, child.request, data)
        return data

    # The end of a child

    def _on_end(self, child):
        while child.channel is not None and self._read_channel(child):
            pass
        if child is self._parked:
            self._parked = None
            self._parking_failures += 1
            self._say_ready([])
            self._refill_at = time.monotonic() + 0.1 * 4**self._parking_failures
        request, going = child.request, child.going
        if request is not None and not going and not child.acknowledged and not child.abandoned:
            # It died before it acknowledged the request: nothing ran, so another child can take it.
            self._discard(child)
            return self._hand_over(request, child.payload, child.attempt + 1)
        if request is not None:
            self._drain(child)
            if not child.outlives_server:
                child.end_group()
        self._discard(child)
        # Sent last: nothing of the child is open when the server learns of its end.
        if request is not None:
            self._put(frames.EXIT, request, json.dumps(_describe(child, going)).encode())
        return None

    def _drain(self, child):
        """Reads what the child left in its pipes. Doesn't wait for processes that it left behind, which may keep them open."""
        for name in ("stdout", "stderr"):
            fd = getattr(child, name)
            while fd >= 0 and self._read_output(child, name, fd):
                pass

    def _forget_channel(self, child):
        if child.channel is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
            child.channel = None

    def _discard(self, child):
        self._forget_channel(child)
        for fd in child.open_fds():
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
            os.close(fd)
        child.stdin = child.stdout = child.stderr = -1
        self._children.pop(child.pid, None)
        if self._by_request.get(child.request) is child:
            del self._by_request[child.request]

    # The end of the worker

    def _shut_down(self):
        if self._deadline:
            return
        self._selector.unregister(self._control)
        self._control.close()
        self._pause(False)
        for child in self._children.values():
            if not (child.outlives_server and child.going):
                child.send_signal(signal.SIGTERM if child.going else signal.SIGKILL)
        self._deadline = (time.monotonic() + TERMINATION_GRACE, self._end_reads)

    def _end_reads(self):
        for child in self._children.values():
            if not child.outlives_server:
                child.kill()
        self._deadline = (time.monotonic() + CHANGE_GRACE, self._end_all)

    def _end_all(self):
        for child in self._children.values():
            child.kill()
        self._deadline = (time.monotonic() + CHANGE_GRACE, lambda: os._exit(1))


def _describe(child, going):
    status = child.status
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status), "going": going}
    return {"code": os.WEXITSTATUS(status), "going": going}


def why_not():
    """Returns why this dstack can't be served by forked children; None if it can."""
    if threading.active_count() > 1:
        return "an import started a thread, which a forked child would lack"
    if preload.is_editable():
        return "dstack is installed from a source tree, which may change at any time"
    return None


def decline(reason):
    with socket.socket(fileno=CONTROL_FD) as control:
        control.sendall(frames.encode(frames.READY, 0, json.dumps({"declined": reason}).encode()))


def main(script):
    server = os.getppid()
    gc.disable()
    # A stopped worker wouldn't notice that its server ended, so the kernel resumes it then.
    child_process.set_parent_death_signal(signal.SIGCONT, server)
    os.set_inheritable(CONTROL_FD, False)
    use_path_of(script)
    prints = preload.fingerprints(script)
    code = compile_entry(script)
    started = time.monotonic()
    loaded = preload.preload(script)
    imported = time.monotonic()
    for program in filter(None, (preload.ssh_client(), shutil.which("git"))):
        prints[program] = preload.fingerprint(program)
    preload.freeze()
    declined = why_not()
    if declined:
        return decline(declined)
    ready = {
        "version": preload.version(),
        "python": sys.version.split()[0],
        "bakedAtImport": loaded.baked,
        "fingerprints": prints,
        "importMs": round((imported - started) * 1000),
    }
    return Worker((script, code), loaded.printed).run(ready)


if __name__ == "__main__":
    main(sys.argv[1])
