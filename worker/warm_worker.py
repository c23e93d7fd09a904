"""Keeps dstack's modules in memory and forks a child for each command.

Usage: <interpreter> -B warm_worker.py <dstack script>, with the control channel (a stream socket) on descriptor 3.
When the channel closes, the worker ends: it terminates commands that read, and lets changes finish within a limit.
"""

import os
import selectors
import signal
import socket
import sys
import threading
import time

# With PYTHONSAFEPATH, the interpreter doesn't search the folder of the script.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import control_frames as frames
import preload
from child_handle import CHUNK, ChildHandle
from forked_child import set_parent_death_signal
from loaded_dstack import LoadedDstack
from server_channel import ServerChannel

CONTROL_FD = 3
# A new parked child is forked only after the one that was used has had its first time slice.
REFILL_DELAY = 0.03
# If parking fails repeatedly, commands are forked before the entry script runs: slower, but equally correct.
PARKING_ATTEMPTS = 3
HAND_OVER_ATTEMPTS = 3
# A replace waits for the old run to stop before it submits the new one.
CHANGE_GRACE = 300.0
TERMINATION_GRACE = 2.0


class Worker:
    def __init__(self, dstack, control):
        self._dstack = dstack
        self._selector = selectors.DefaultSelector()
        self._server = ServerChannel(self._selector, control, self)
        self._children = {}
        self._by_request = {}
        self._parked = None
        self._parking_failures = 0
        self._refill_at = None
        self._ready = dstack.description
        self._paused = False
        self._deadline = None

    def run(self):
        self._watch_signals()
        self._refill()
        while not (self._deadline and not self._children):
            for key, events in self._selector.select(self._timeout()):
                key.data(events)
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
        self._wakeup, write = os.pipe()
        for fd in (self._wakeup, write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C in the server's terminal is for the server; the worker ends with it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._on_signal)

    def _on_signal(self, _events):
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
            self._server.put(frames.READY, 0, frames.to_json({**self._ready, "bakedAtPark": baked_at_park}))
            self._ready = None

    def _fork(self, park):
        child = ChildHandle.fork(self._dstack, park)
        self._children[child.pid] = child
        child.watch(self._selector, self)
        return child

    # The server

    def on_frame(self, kind, request, payload):
        if kind == frames.PING:
            return self._server.put(frames.PONG, request)
        if kind == frames.REQUEST:
            return self._hand_over(request, payload)
        child = self._by_request.get(request)
        if child is None:
            return None  # it has just exited
        if kind == frames.KILL:
            child.abandoned = True
            return child.send_signal(int(payload))
        if kind == frames.GO:
            return child.go(self._paused)
        if kind == frames.ANSWER:
            return child.answer(payload)
        return None

    def on_congested(self, congested):
        self._paused = congested
        for child in self._children.values():
            child.pause(congested)

    def on_closed(self):
        """Ends the worker: reads first, changes after their grace."""
        self.on_congested(False)
        for child in self._children.values():
            # A change that waits for an answer hasn't changed anything yet.
            if not (child.outlives_server and child.going and child.answered):
                child.send_signal(signal.SIGTERM if child.going else signal.SIGKILL)
        self._deadline = (time.monotonic() + TERMINATION_GRACE, self._end_reads)

    def _end_reads(self):
        for child in self._children.values():
            if not (child.outlives_server and child.answered):
                child.kill()
        self._deadline = (time.monotonic() + CHANGE_GRACE, self._end_all)

    def _end_all(self):
        for child in self._children.values():
            child.kill()
        self._deadline = (time.monotonic() + CHANGE_GRACE, lambda: os._exit(1))

    # One request

    def _hand_over(self, request, payload, attempt=1):
        if self._deadline:
            return None
        if attempt > HAND_OVER_ATTEMPTS:
            return self._server.put(frames.REFUSED, request, b"the children of the worker die before they take a request")
        try:
            child = self._choose_child(frames.from_json(frames.split_request(payload)[0]))
        except (OSError, MemoryError) as error:
            return self._server.put(frames.REFUSED, request, (str(error) or "out of memory").encode())
        self._by_request[request] = child
        child.take(request, payload, attempt)
        if self._parked is None and self._refill_at is None:
            self._refill_at = time.monotonic() + REFILL_DELAY
        return None

    def _choose_child(self, asked):
        # A question needs no parsers: the parked child stays for the command that follows it.
        parked = self._parked if asked["mode"] == "parked" and asked.get("task") is None else None
        if parked is None:
            return self._fork(park=False)
        self._parked = None
        return parked

    def on_child_frame(self, child, kind, payload):
        if kind == frames.READY:
            self._parking_failures = 0
            self._say_ready(frames.from_json(payload))
        elif kind == frames.REFUSED:
            self._server.put(frames.REFUSED, child.request, payload)
            self._by_request.pop(child.request, None)
            child.request = None
        else:
            if kind == frames.WIRE:
                # What it printed comes first: the server judges it, too.
                child.drain_output()
            child.acknowledged = child.acknowledged or kind == frames.ACKNOWLEDGED
            self._server.put(kind, child.request, payload)

    def on_output(self, child, kind, data):
        self._server.put(kind, child.request, data)

    # The end of a child

    def _on_end(self, child):
        child.drain()
        if child is self._parked:
            self._parked = None
            self._parking_failures += 1
            self._say_ready([])
            self._refill_at = time.monotonic() + 0.1 * 4**self._parking_failures
        request = child.request
        if request is not None and not child.going and not child.acknowledged and not child.abandoned:
            # It died before it acknowledged the request: nothing ran, so another child can take it.
            self._discard(child)
            return self._hand_over(request, child.payload, child.attempt + 1)
        if request is not None and not child.outlives_server:
            child.end_group()
        self._discard(child)
        # Sent last: nothing of the child is open when the server learns of its end.
        if request is not None:
            self._server.put(frames.EXIT, request, frames.to_json(child.describe_end()))
        return None

    def _discard(self, child):
        child.close()
        self._children.pop(child.pid, None)
        if self._by_request.get(child.request) is child:
            del self._by_request[child.request]


def why_not():
    """Returns why this dstack can't be served by forked children; None if it can."""
    if threading.active_count() > 1:
        return "an import started a thread, which a forked child would lack"
    if preload.is_editable():
        return preload.EDITABLE
    return None


def main(script):
    # A stopped worker wouldn't notice that its server ended, so the kernel resumes it then.
    set_parent_death_signal(signal.SIGCONT, os.getppid())
    os.set_inheritable(CONTROL_FD, False)
    dstack = LoadedDstack(script)
    control = socket.socket(fileno=CONTROL_FD)
    declined = why_not()
    if declined:
        return control.sendall(frames.encode(frames.READY, 0, frames.to_json({"declined": declined})))
    Worker(dstack, control).run()
    # Nothing is left to clean up. To take down everything that dstack imports can take a second, for which its server would wait.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
