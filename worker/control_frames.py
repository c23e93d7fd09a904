"""Length-prefixed frames between the server and the worker: length (4 bytes), kind (1 byte), request (4 bytes), payload."""

import json
import struct

HEADER = struct.Struct(">IcI")

# From the server.
REQUEST = b"R"  # payload: JSON, and after it the pinned file's content
GO = b"G"  # the request that was acknowledged may run
KILL = b"K"  # payload: the number of a signal for the request's process group
ANSWER = b"V"  # payload: JSON, which changes may be sent, for a request that waits before its first one
PING = b"?"

# To the server.
READY = b"r"
ACKNOWLEDGED = b"a"  # a child has the complete request and waits for GO
REFUSED = b"n"  # payload: why; nothing ran
STDOUT = b"o"
STDERR = b"e"
EXIT = b"x"
WIRE = b"w"  # payload: JSON, one event of the gate on dstack's requests
PONG = b"!"


def encode(kind, request, payload=b""):
    return HEADER.pack(len(payload), kind, request) + payload


def to_json(value):
    """Raises ValueError for NaN and infinity, which JSON doesn't have, and RecursionError for what is nested too deeply."""
    return json.dumps(value, allow_nan=False).encode()


def from_json(payload):
    return json.loads(payload)


def split_request(payload):
    """Returns the description in the payload of a request, and what follows it."""
    end = 4 + int.from_bytes(payload[:4], "big")
    return payload[4:end], payload[end:]


def join_request(description, rest):
    return len(description).to_bytes(4, "big") + description + rest


def take_frames(buffer):
    """Removes complete frames from the front of a bytearray and yields them."""
    while len(buffer) >= HEADER.size:
        length, kind, request = HEADER.unpack_from(buffer)
        end = HEADER.size + length
        if len(buffer) < end:
            return
        payload = bytes(buffer[HEADER.size:end])
        del buffer[:end]
        yield kind, request, payload
