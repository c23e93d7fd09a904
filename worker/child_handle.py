"""The worker's side of one child: its pipes, its request and its progress."""

import os
import signal
import socket

import child_process

CHUNK = 1 << 16


class ChildHandle:
    """A forked child, seen from its parent. `request` is None while it waits for one."""

    def __init__(self, pid, channel, fds):
        self.pid = pid
        self.channel = channel
        self.stdin, self.stdout, self.stderr = fds
        self.request = None
        self.payload = b""
        self.outlives_server = False
        self.attempt = 1
        self.acknowledged = False
        self.abandoned = False
        self.going = False
        self.status = None
        self.input = b""
        self.unsent = bytearray()
        self.messages = bytearray()

    @classmethod
    def fork(cls, entry, printed, park):
        """Forks a child with its own pipes. Raises OSError if the system lacks resources; then nothing is left open."""
        opened = []
        try:
            pipes = []
            for _ in range(3):
                pipes.append(os.pipe())
                opened.extend(pipes[-1])
            ours, theirs = socket.socketpair()
            opened.extend((ours.detach(), theirs.detach()))
            worker = os.getpid()
            pid = os.fork()
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = pipes
        if pid == 0:
            channel = socket.socket(fileno=opened[-1])
            child_process.ChildProcess(entry, channel, printed).run(worker, (in_read, out_write, err_write), park)
        for fd in (in_read, out_write, err_write, opened[-1]):
            os.close(fd)
        for fd in (in_write, out_read, err_read):
            os.set_blocking(fd, False)
        channel = socket.socket(fileno=opened[-2])
        channel.setblocking(False)
        return cls(pid, channel, (in_write, out_read, err_read))

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

    def open_fds(self):
        return [fd for fd in (self.stdin, self.stdout, self.stderr) if fd >= 0]
