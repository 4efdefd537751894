"""A client of openpi's policy servers: observations as msgpack over a websocket, chunks of actions back.

The protocol (github.com/Physical-Intelligence/openpi, package openpi-client): on connecting the server sends its metadata; then
each message is a map of values, arrays as maps of dtype, shape and bytes; an answer that is text is the server's traceback.
Its own client package is not used, since it wants numpy below 2 and waits for a server without end.
"""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from dial_core.errors import ConnectionLostError, DialError

SCHEMES = ("ws://", "wss://")
TIMEOUT_S = 300.0  # a first answer may wait for the server to compile its model
MAX_BYTES = 1 << 26  # of an answer
_KINDS = "biuf"  # of numpy's dtypes: what may be read


class WebsocketPolicy:
    """One connection to a policy server."""

    def __init__(self, address: str) -> None:
        """Connects to `address` (`ws://HOST:PORT`). Raises ConnectionLostError if nobody answers there as such a server does."""
        self.address = address
        try:
            # Such servers compute in the loop that would answer pings, and are reached directly.
            self._socket = connect(address, open_timeout=TIMEOUT_S, compression=None, max_size=MAX_BYTES, ping_interval=None, proxy=None)
            self.metadata = self._unpacked(self._socket.recv(TIMEOUT_S))
        except (OSError, WebSocketException, ValueError) as error:
            raise ConnectionLostError(f"no policy server of openpi's protocol at {address}: {error}") from error

    def infer(self, observation: dict[str, Any]) -> np.ndarray:
        """The chunk (H, A) that the server answers an observation with, under the key `actions`.

        Raises:
            ConnectionLostError: the server is gone, or gave no answer in time.
            DialError: it refused (its last line is named), or answered with something else. After any error make a new connection:
                a late answer would be taken for that to the next observation.
        """
        try:
            self._socket.send(msgpack.packb(observation, default=_packable))
            answer = self._unpacked(self._socket.recv(TIMEOUT_S))
        except (OSError, WebSocketException) as error:
            raise ConnectionLostError(f"the policy server at {self.address} is gone: {error}") from error
        actions = answer.get("actions") if isinstance(answer, dict) else None
        if not isinstance(actions, np.ndarray) or actions.ndim != 2 or actions.dtype.kind != "f":
            keys = ", ".join(f"{key} {_kind(value)}" for key, value in answer.items()) if isinstance(answer, dict) else _kind(answer)
            raise DialError(f"the policy server at {self.address} answered without a chunk `actions` (H, A); it sent {keys}")
        return actions

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _unpacked(self, message: str | bytes) -> Any:
        if isinstance(message, str):
            reason = message.strip().splitlines()[-1:] or ["no reason"]
            raise DialError(f"the policy server at {self.address} refused: {reason[0]}")
        try:
            return msgpack.unpackb(message, object_hook=_array_of, strict_map_key=False)
        except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            raise DialError(f"the policy server at {self.address} sent what is no msgpack message: {error}") from error


def _kind(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _packable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"cannot send a {type(value).__name__}")


def _array_of(values: dict) -> Any:
    if b"__ndarray__" in values:
        dtype = np.dtype(values[b"dtype"])
        if dtype.kind not in _KINDS:
            raise ValueError(f"an array of dtype {dtype} is not read")
        return np.frombuffer(values[b"data"], dtype).reshape(values[b"shape"])
    if b"__npgeneric__" in values:
        return np.dtype(values[b"dtype"]).type(values[b"data"])
    return values
