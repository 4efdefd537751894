"""The two sessions over TCP: the model on one machine, robot or simulation on another. `dial serve` is the far end.

A message is a length (4 bytes, big-endian), that many bytes of JSON, and the arrays it lists, raw. Nothing that comes over
the wire is executed or unpickled. There is no encryption and no password: use it inside a trusted network, or through a
tunnel of ssh.
"""

from __future__ import annotations

import json
import math
import socket
import socketserver
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np

from dial_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.config import validate
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference.sessions import System1Session, System2Session

SCHEME = "tcp://"
DTYPES = ("uint8", "float32", "float64")
MAX_HEADER_BYTES, MAX_ARRAY_BYTES = 1 << 16, 1 << 26
TIMEOUT_S = 60.0

Arrays = dict[str, np.ndarray]


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
        """The server's answer. Raises DialError with its reason if it refuses, or if it is gone."""
        try:
            send(self._socket, {"call": name, **values}, arrays or {})
            answer, result = receive(self._socket)
        except OSError as error:
            raise DialError(f"the policy server at {self.address} is gone: {error}") from error
        if "error" in answer:
            raise DialError(f"the policy server at {self.address} refused: {answer['error']}")
        return answer, result


class RemoteSystem2:
    """A `System2Session` on the other end."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection, self.contract = connection, contract

    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray:
        """As `System2Session.foresight`."""
        return self._connection.call("foresight", {"image": image}, instruction=instruction)[1]["result"]

    def image_tokens(self, image: np.ndarray) -> np.ndarray:
        """As `System2Session.image_tokens`."""
        return self._connection.call("image_tokens", {"image": image})[1]["result"]


class RemoteSystem1:
    """A `System1Session` on the other end."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection, self.contract = connection, contract

    def chunk(
        self,
        images: np.ndarray | tuple[np.ndarray, ...],
        foresight: np.ndarray,
        state: np.ndarray,
        committed: Committed | None = None,
    ) -> np.ndarray:
        """As `System1Session.chunk`."""
        arrays = {f"image{place}": image for place, image in enumerate(images if isinstance(images, tuple) else (images,))}
        arrays |= {"foresight": np.asarray(foresight, np.float32), "state": np.asarray(state, np.float32)}
        if committed is not None:
            arrays |= {f"committed_{name}": values for name, values in committed._asdict().items()}
        return self._connection.call("chunk", arrays)[1]["result"]


def connect(address: str, flow_steps: int = 4, noise_seed: int = 0) -> tuple[RemoteSystem2, RemoteSystem1]:
    """Both sessions of the server at `tcp://host:port`; the options are those of `System1Session`."""
    connection = Connection(address)
    answer, _ = connection.call("open", flow_steps=flow_steps, noise_seed=noise_seed)
    contract = validate(Contract, answer["contract"], source=address)
    return RemoteSystem2(connection, contract), RemoteSystem1(connection, contract)


class PolicyServer(socketserver.ThreadingTCPServer):
    """Serves one checkpoint to any number of clients, one call at a time."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, checkpoint: Path, host: str = "127.0.0.1", port: int = 0, device: str = "cpu") -> None:
        """Port 0 takes a free one; `address` tells which."""
        self.checkpoint: Checkpoint = load_checkpoint(checkpoint)
        self.device = device
        self.one_at_a_time = threading.Lock()
        super().__init__((host, port), _Client)

    @property
    def address(self) -> str:
        """Where clients find it: `tcp://host:port`."""
        host, port = self.server_address[:2]
        return f"{SCHEME}{host!s}:{port}"


class _Client(socketserver.BaseRequestHandler):
    """One client's calls, until it hangs up."""

    server: PolicyServer

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._system2 = System2Session(self.server.checkpoint, self.server.device)
        self._system1 = System1Session(self.server.checkpoint, self.server.device)
        while True:
            try:
                header, arrays = receive(self.request)
            except (DialError, OSError):  # hung up, or no client of ours: nobody is left to answer
                return
            try:
                with self.server.one_at_a_time:
                    answer, result = self._answer(header, arrays)
            except (DialError, KeyError, TypeError) as error:
                answer, result = {"error": f"{type(error).__name__}: {error}"}, {}
            send(self.request, answer, result)

    def _answer(self, header: dict, arrays: Arrays) -> tuple[dict, Arrays]:
        call = header["call"]
        if call == "open":
            flow_steps, noise_seed = int(header["flow_steps"]), int(header["noise_seed"])
            self._system1 = System1Session(self.server.checkpoint, self.server.device, flow_steps, noise_seed)
            return {"contract": self._system1.contract.model_dump()}, {}
        if call == "foresight":
            return {}, {"result": self._system2.foresight(arrays["image"], header["instruction"])}
        if call == "image_tokens":
            return {}, {"result": self._system2.image_tokens(arrays["image"])}
        if call == "chunk":
            images = tuple(arrays[f"image{place}"] for place in range(len(self._system1.contract.views)))
            committed = Committed(arrays["committed_actions"], arrays["committed_weights"]) if "committed_actions" in arrays else None
            return {}, {"result": self._system1.chunk(images, arrays["foresight"], arrays["state"], committed)}
        raise DialError(f"unknown call '{call}'; known: open, foresight, image_tokens, chunk")


def send(wire: socket.socket, header: dict, arrays: Arrays) -> None:
    """Writes one message."""
    listed = [[name, values.dtype.name, list(values.shape)] for name, values in arrays.items()]
    text = json.dumps({**header, "arrays": listed}).encode()
    wire.sendall(b"".join([struct.pack(">I", len(text)), text, *(np.ascontiguousarray(v).tobytes() for v in arrays.values())]))


def receive(wire: socket.socket) -> tuple[dict, Arrays]:
    """Reads one message.

    Raises:
        DialError: the other side hung up, or what came is no message of ours.
    """
    (length,) = struct.unpack(">I", _exactly(wire, 4))
    if length > MAX_HEADER_BYTES:
        raise DialError(f"a header of {length} bytes is no message of a policy server or client")
    header = json.loads(_exactly(wire, length))
    arrays = {}
    for name, dtype, shape in header.pop("arrays"):
        size = math.prod(shape) * np.dtype(dtype).itemsize if dtype in DTYPES else -1
        if not 0 <= size <= MAX_ARRAY_BYTES:
            raise DialError(f"array '{name}' of {dtype} {shape}: expected {', '.join(DTYPES)}, at most {MAX_ARRAY_BYTES} bytes")
        arrays[name] = np.frombuffer(_exactly(wire, size), dtype).reshape(shape)
    return header, arrays


def _exactly(wire: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = wire.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise DialError("the other side hung up")
        parts += part
    return bytes(parts)
