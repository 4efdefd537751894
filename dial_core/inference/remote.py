"""The two sessions over TCP: the model on one machine, robot or simulation on another. `dial serve` is the far end."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np

from dial_core.checkpoint.contract import Contract
from dial_core.config import validate
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference.wire import SCHEME, Arrays, receive, send
from dial_core.model.flow_matching import NO_NOISE

TIMEOUT_S = 60.0


class Connection:
    """One client's side of a connection."""

    def __init__(self, address: str) -> None:
        """`address`: `tcp://host:port`. Raises DialError if it is malformed or nobody answers there."""
        host, _, port = address.removeprefix(SCHEME).rpartition(":")
        if not host or not port.isdigit():
            raise DialError(f"'{address}' is no address of a policy server; expected {SCHEME}HOST:PORT, as `dial serve` prints it")
        self.address = address
        try:
            self._socket = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
        except OSError as error:
            raise DialError(
                f"no policy server at {address} ({error}); start one there with `dial serve CHECKPOINT --port {port}`"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, name: str, arrays: Arrays | None = None, **values: Any) -> tuple[dict, Arrays]:
        """Sends a request and returns the server's answer. Raises DialError with its reason if it refuses or has disconnected."""
        try:
            send(self._socket, {"call": name, **values}, arrays or {})
            answer, result = receive(self._socket)
        except OSError as error:
            raise DialError(f"the policy server at {self.address} is gone: {error}") from error
        if "error" in answer:
            raise DialError(f"the policy server at {self.address} refused: {answer['error']}")
        return answer, result


class RemoteSystem2:
    """Client of a `System2Session` on a policy server."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection, self.contract = connection, contract

    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray:
        """As `System2Session.foresight`."""
        return self._connection.call("foresight", {"image": image}, instruction=instruction)[1]["result"]

    def image_tokens(self, image: np.ndarray) -> np.ndarray:
        """As `System2Session.image_tokens`."""
        return self._connection.call("image_tokens", {"image": image})[1]["result"]


class RemoteSystem1:
    """Client of a `System1Session` on a policy server."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection, self.contract = connection, contract

    def chunk(
        self,
        images: np.ndarray | tuple[np.ndarray, ...],
        foresight: np.ndarray,
        state: np.ndarray,
        committed: Committed | None = None,
        base: np.ndarray | None = None,
    ) -> np.ndarray:
        """As `System1Session.chunk`."""
        arrays = {f"image{place}": image for place, image in enumerate(images if isinstance(images, tuple) else (images,))}
        arrays |= {"foresight": np.asarray(foresight, np.float32), "state": np.asarray(state, np.float32)}
        if base is not None:
            arrays["base"] = np.asarray(base, np.float64)
        if committed is not None:
            arrays |= {f"committed_{name}": values for name, values in committed._asdict().items()}
        return self._connection.call("chunk", arrays)[1]["result"]


def connect(address: str, flow_steps: int = 4, noise_seed: int = NO_NOISE) -> tuple[RemoteSystem2, RemoteSystem1]:
    """Returns both sessions of the server at `tcp://host:port`; the options are those of `System1Session`."""
    connection = Connection(address)
    answer, _ = connection.call("open", flow_steps=flow_steps, noise_seed=noise_seed)
    contract = validate(Contract, answer["contract"], source=address)
    return RemoteSystem2(connection, contract), RemoteSystem1(connection, contract)
