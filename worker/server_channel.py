"""The worker's end of its control channel: frames from the server and to it."""

import selectors

import control_frames as frames

CHUNK = 1 << 16
# The server may be slower than a command's output: above this limit, commands wait in their pipes.
UNSENT_LIMIT = 4 << 20


class ServerChannel:
    """Calls `on_frame(kind, request, payload)`, `on_congested(whether)`, and once `on_closed()`, after which nothing is sent."""

    def __init__(self, selector, control, listener):
        self._selector = selector
        self._control = control
        self._listener = listener
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._congested = False
        self.closed = False
        control.setblocking(False)
        selector.register(control, selectors.EVENT_READ, self._on_events)

    def put(self, kind, request, payload=b""):
        if not self.closed:
            self._outgoing += frames.encode(kind, request, payload)
            self._flush()

    def close(self):
        if not self.closed:
            self.closed = True
            self._selector.unregister(self._control)
            self._control.close()
            self._listener.on_closed()

    def _on_events(self, events):
        if events & selectors.EVENT_WRITE:
            self._flush()
        if self.closed or not events & selectors.EVENT_READ:
            return
        try:
            data = self._control.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            return self.close()
        self._incoming += data
        for kind, request, payload in frames.take_frames(self._incoming):
            self._listener.on_frame(kind, request, payload)

    def _flush(self):
        try:
            while self._outgoing:
                sent = self._control.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            return self.close()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._selector.modify(self._control, events, self._on_events)
        congested = len(self._outgoing) > UNSENT_LIMIT
        if congested != self._congested:
            self._congested = congested
            self._listener.on_congested(congested)
