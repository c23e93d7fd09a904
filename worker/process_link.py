"""A command's connection to the process that sends it work: frames over two descriptors, or one that works both ways."""

import os

import control_frames as frames

CHUNK = 1 << 16


class ProcessLink:
    def __init__(self, read_fd, write_fd):
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._incoming = bytearray()

    def receive(self):
        """Returns the kind and the payload of the next frame. Ends the process if the other side has ended."""
        while True:
            for kind, _, payload in frames.take_frames(self._incoming):
                return kind, payload
            if not self._read():
                os._exit(0)

    def send(self, kind, payload=b""):
        rest = memoryview(frames.encode(kind, 0, payload))
        while rest:
            rest = rest[os.write(self._write_fd, rest) :]

    def wait_for_end(self):
        """Returns once the other side has ended."""
        while self._read():
            self._incoming.clear()

    def close(self):
        for fd in {self._read_fd, self._write_fd}:
            os.close(fd)

    def _read(self):
        try:
            data = os.read(self._read_fd, CHUNK)
        except OSError:
            return False
        self._incoming += data
        return bool(data)
