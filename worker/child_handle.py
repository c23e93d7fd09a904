"""The worker's side of one child: its process, its pipes, and how far its request got."""

import os
import selectors
import signal
import socket

import control_frames as frames
from forked_child import ForkedChild, become_a_process
from process_link import ProcessLink

CHUNK = 1 << 16


class ChildHandle:
    """A forked child, seen from its parent, to which it reports `on_child_frame(child, kind, payload)` and `on_output(child, kind, data)`."""

    def __init__(self, pid, channel, fds):
        self.pid = pid
        self.request = None
        self.payload = b""
        self.outlives_server = False
        self.attempt = 1
        self.acknowledged = False
        self.abandoned = False
        self.going = False
        self.answered = False
        self.status = None
        self._selector = None
        self._listener = None
        self._channel = channel
        self._input_fd, out, err = fds
        self._outputs = {out: frames.STDOUT, err: frames.STDERR}
        self._input = b""
        self._unsent = bytearray()
        self._received = bytearray()

    @classmethod
    def fork(cls, dstack, park):
        """Forks a child with its own pipes. Raises OSError if the system lacks resources; then nothing is left open."""
        opened = []
        try:
            for _ in range(3):
                opened.extend(os.pipe())
            ours, theirs = socket.socketpair()
            opened.extend((ours.detach(), theirs.detach()))
            worker = os.getpid()
            pid = os.fork()
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        in_read, in_write, out_read, out_write, err_read, err_write, our_link, its_link = opened
        if pid == 0:
            become_a_process(worker, (in_read, out_write, err_write), its_link)
            link = ProcessLink(its_link, its_link)
            ForkedChild(dstack, link, lambda baked: link.send(frames.READY, frames.to_json(baked))).run(park)
        for fd in (in_read, out_write, err_write, its_link):
            os.close(fd)
        for fd in (in_write, out_read, err_read):
            os.set_blocking(fd, False)
        channel = socket.socket(fileno=our_link)
        channel.setblocking(False)
        return cls(pid, channel, (in_write, out_read, err_read))

    def watch(self, selector, listener):
        self._selector = selector
        self._listener = listener
        selector.register(self._channel, selectors.EVENT_READ, self._on_channel)

    # Signals

    def send_signal(self, number):
        """Signals the child's process group."""
        if self.status is not None:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            try:
                # Before its setsid the child is still in the worker's group.
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def end_group(self):
        """Kills what remains of the child's group. Its ID isn't reused while the group has members."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def describe_end(self):
        if os.WIFSIGNALED(self.status):
            return {"signal": os.WTERMSIG(self.status), "going": self.going}
        return {"code": os.WEXITSTATUS(self.status), "going": self.going}

    # Its request

    def take(self, request, payload, attempt):
        """Hands it a request: the server's payload, of which the input stays here until the request may run."""
        text, rest = frames.split_request(payload)
        description = frames.from_json(text)
        input_length = description.get("inputLength", 0)
        self.request = request
        self.payload = payload
        self.attempt = attempt
        self.outlives_server = bool(description.get("outlivesServer"))
        self.answered = not (description.get("wire") or {}).get("asks", False)
        self._input = rest[:input_length]
        self._send(frames.REQUEST, frames.join_request(text, rest[input_length:]))

    def go(self, paused):
        if not self.acknowledged or self.going or self._channel is None:
            return
        self.going = True
        self._send(frames.GO)
        self.pause(paused)
        if self._input:
            self._selector.register(self._input_fd, selectors.EVENT_WRITE, self._on_input)
        else:
            self._close_input()

    def answer(self, payload):
        """Passes on the answer that it waits for before its first change."""
        if self.going and not self.answered:
            self.answered = True
            self._send(frames.ANSWER, payload)

    def pause(self, paused):
        """Stops or resumes reading its output, once it runs."""
        for fd in self._outputs if self.going else ():
            registered = fd in self._selector.get_map()
            if paused and registered:
                self._selector.unregister(fd)
            elif not paused and not registered:
                self._selector.register(fd, selectors.EVENT_READ, self._on_output)

    def drain(self):
        """Reads what the child left in its pipes. Doesn't wait for processes that it left behind, which may keep them open."""
        while self._channel is not None and self._read_channel():
            pass
        self.drain_output()

    def drain_output(self):
        for fd in self._outputs if self.request is not None else ():
            while self._read_output(fd):
                pass

    def close(self):
        self._forget_channel()
        self._close_input()
        for fd in list(self._outputs):
            self._close_output(fd)

    # Input and output

    def _on_input(self, _events):
        try:
            sent = os.write(self._input_fd, self._input[:CHUNK])
            self._input = self._input[sent:]
        except BlockingIOError:
            return
        except OSError:
            self._input = b""  # it no longer reads
        if not self._input:
            self._close_input()

    def _close_input(self):
        if self._input_fd >= 0:
            self._unregister(self._input_fd)
            os.close(self._input_fd)
            self._input_fd = -1

    def _on_output(self, _events):
        for fd in list(self._outputs):
            if self._read_output(fd) == b"":
                self._close_output(fd)

    def _read_output(self, fd):
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return None
        if data:
            self._listener.on_output(self, self._outputs[fd], data)
        return data

    def _close_output(self, fd):
        self._unregister(fd)
        os.close(fd)
        del self._outputs[fd]

    def _unregister(self, fd):
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    # Its link

    def _send(self, kind, payload=b""):
        self._unsent += frames.encode(kind, 0, payload)
        self._flush()

    def _flush(self):
        if self._channel is None:
            return  # it died: its exit will be handled
        try:
            while self._unsent:
                sent = self._channel.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._channel, events, self._on_channel)

    def _on_channel(self, events):
        if self._channel is None:
            return  # its exit was handled in the same round
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            self._read_channel()

    def _read_channel(self):
        """Reads what the child sent. Returns whether there may be more."""
        try:
            data = self._channel.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._forget_channel()
            return False
        self._received += data
        for kind, _, payload in frames.take_frames(self._received):
            self._listener.on_child_frame(self, kind, payload)
        return True

    def _forget_channel(self):
        if self._channel is not None:
            self._selector.unregister(self._channel)
            self._channel.close()
            self._channel = None
