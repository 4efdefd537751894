"""Messages of a policy server and its clients: what arrives as sent, and what is refused by name.

pytest test/unit/inference/test_wire.py
"""

import json
import socket
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dial_core.errors import DialError
from dial_core.inference.wire import MAX_ARRAYS, MAX_BYTES, MAX_HEADER_BYTES, LostFramingError, receive, send


def framed(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def listing(*arrays) -> bytes:
    return framed(json.dumps({"call": "chunk", "arrays": list(arrays)}).encode())


@pytest.mark.parametrize(
    "message",
    [
        listing(["x", "object", [1]]),
        listing(["x", "float64", [MAX_BYTES]]),
        listing(["x", "uint8", [-4]]),
        listing(["x", "uint8", [1.5]]),
        listing(["x", "uint8", [1] * 40]),
        listing("x"),
        listing(*[["x", "uint8", [1]]] * (MAX_ARRAYS + 1)),
        listing(["x", "uint8", [MAX_BYTES // 2 + 1]], ["y", "uint8", [MAX_BYTES // 2]]),
        listing(["x", "uint8", [0, MAX_BYTES, MAX_BYTES, MAX_BYTES]]),
        struct.pack(">I", MAX_HEADER_BYTES + 1),
    ],
)
def test_what_nobody_should_send_is_refused_before_anything_is_allocated(message):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(message)
        with pytest.raises(LostFramingError):
            receive(far)


KEYS = st.sampled_from(["call", "arrays", "flow_steps", "instruction"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: framed(json.dumps(value).encode())))
def test_whatever_arrives_the_reader_returns_a_message_or_a_named_error(content):
    near, far = socket.socketpair()
    with near, far:
        near.sendall(content)
        near.shutdown(socket.SHUT_WR)
        try:
            header, arrays = receive(far)
            assert isinstance(header, dict)
            assert isinstance(arrays, dict)
        except DialError:
            pass


def test_messages_arrive_as_sent_and_a_hang_up_is_an_error():
    near, far = socket.socketpair()
    with near, far:
        send(near, {"call": "a"}, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2], "y": np.zeros((0,), np.uint8)})
        header, arrays = receive(far)
        assert header == {"call": "a"}
        np.testing.assert_array_equal(arrays["x"], [[0, 2], [3, 5]])
        assert arrays["y"].shape == (0,)
        near.close()
        with pytest.raises(DialError, match="hung up"):
            receive(far)
        with pytest.raises(OSError):
            send(near, {}, {})
