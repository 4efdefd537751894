"""Messages between a policy server and its clients, over TCP.

A message is a length (4 bytes, big-endian), that many bytes of JSON, and the arrays it lists, raw. Nothing that arrives is
executed or unpickled, and nothing is allocated before its size was checked. There is no encryption and no password: use it inside
a trusted network, or through an ssh tunnel.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from typing import Any

import numpy as np

from dial_core.errors import DialError

SCHEME = "tcp://"
DTYPES = ("uint8", "float32", "float64")
MAX_HEADER_BYTES = 1 << 16
MAX_ARRAYS = 16
MAX_DIMENSIONS = 4
MAX_BYTES = 1 << 26  # of all arrays of a message

Arrays = dict[str, np.ndarray]


class HungUpError(DialError):
    """The other side closed the connection."""


class LostFramingError(DialError):
    """The end of a message cannot be determined: nothing after it can be read on this connection."""


class MalformedMessageError(DialError):
    """A malformed message of known length; the next one can be read."""


def send(wire: socket.socket, header: dict, arrays: Arrays) -> None:
    """Writes one message."""
    listed = [[name, values.dtype.name, list(values.shape)] for name, values in arrays.items()]
    text = json.dumps({**header, "arrays": listed}).encode()
    wire.sendall(b"".join([struct.pack(">I", len(text)), text, *(np.ascontiguousarray(v).tobytes() for v in arrays.values())]))


def receive(wire: socket.socket) -> tuple[dict, Arrays]:
    """Reads one message.

    Raises:
        HungUpError: the other side closed the connection.
        MalformedMessageError: the header is no JSON object.
        LostFramingError: the header is too long, or lists arrays that are not allowed.
    """
    (length,) = struct.unpack(">I", _exactly(wire, 4))
    if length > MAX_HEADER_BYTES:
        raise LostFramingError(f"a header of {length} bytes, at most {MAX_HEADER_BYTES}: no message of a policy server or client")
    try:
        header = json.loads(_exactly(wire, length))
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise MalformedMessageError(f"the header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise MalformedMessageError(f"the header is a JSON {type(header).__name__}, expected an object")
    listed = [_listed(entry) for entry in _list_of(header.pop("arrays", []))]
    sizes = [math.prod(shape) * np.dtype(dtype).itemsize for _, dtype, shape in listed]
    if sum(sizes) > MAX_BYTES:
        raise LostFramingError(f"arrays of {sum(sizes)} bytes, at most {MAX_BYTES}")
    arrays = {}
    for (name, dtype, shape), size in zip(listed, sizes, strict=True):
        arrays[name] = np.frombuffer(_exactly(wire, size), dtype).reshape(shape)
    return header, arrays


def integer(header: dict, key: str, low: int, high: int) -> int:
    """The whole number `key` of a header.

    Raises:
        MalformedMessageError: it is missing, none, or outside [low, high].
    """
    value: Any = header.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise MalformedMessageError(f"{key}: expected a whole number from {low} to {high}, got {value!r}")
    return value


def text(header: dict, key: str, longest: int) -> str:
    """The text `key` of a header.

    Raises:
        MalformedMessageError: it is missing, none, longer than `longest` characters, or holds halves of characters (surrogates).
    """
    value: Any = header.get(key)
    if not isinstance(value, str) or len(value) > longest or value.encode(errors="ignore").decode() != value:
        raise MalformedMessageError(f"{key}: expected a text of at most {longest} characters, got {str(value)[:60]!r}")
    return value


def _list_of(value: Any) -> list:
    if not isinstance(value, list) or len(value) > MAX_ARRAYS:
        raise LostFramingError(f"arrays: expected a list of at most {MAX_ARRAYS}, got {str(value)[:80]}")
    return value


def _listed(entry: Any) -> tuple[str, str, list[int]]:
    """Name, dtype and shape of one array as the header lists it."""
    if isinstance(entry, list) and len(entry) == 3:
        name, dtype, shape = entry
        whole = isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS
        whole = whole and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MAX_BYTES for n in shape)
        # numpy limits the product of the other dimensions even beside one of 0.
        if isinstance(name, str) and dtype in DTYPES and whole and math.prod(filter(None, shape)) <= MAX_BYTES:
            return name, dtype, shape
    raise LostFramingError(
        f"array {str(entry)[:80]}: expected [name, dtype, shape] with dtype {', '.join(DTYPES)} and at most {MAX_DIMENSIONS} dimensions"
    )


def _exactly(wire: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = wire.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise HungUpError("the other side hung up")
        parts += part
    return bytes(parts)
