"""The two sessions over TCP: the model on one machine, robot or simulation on another. `dial serve` is the far end."""

from __future__ import annotations

import socket
from itertools import count
from typing import Any

import numpy as np

from dial_core.checkpoint.contract import Contract
from dial_core.config import validate
from dial_core.control.overlap import Committed
from dial_core.errors import ConnectionLostError, DialError
from dial_core.inference.wire import SCHEME, Arrays, HungUpError, LostFramingError, MalformedMessageError, receive, send
from dial_core.jobs.results import EndOfJobsError
from dial_core.model.flow_matching import NO_NOISE

TIMEOUT_S = 60.0


class Connection:
    """One client's side of a connection. After any error but a refusal it is closed; the next call connects again with the same options."""

    def __init__(self, address: str) -> None:
        """`address`: `tcp://host:port`. Raises DialError if it is malformed, ConnectionLostError if nobody answers there."""
        host, _, port = address.removeprefix(SCHEME).rpartition(":")
        if not host or not port.isdigit():
            raise DialError(f"'{address}' is no address of a policy server; expected {SCHEME}HOST:PORT, as `dial serve` prints it")
        self.address = address
        self._place = host, int(port)
        self._opened: tuple[dict[str, int], Contract] | None = None  # with which options, and what was found
        self._requests = count(1)
        self._socket: socket.socket | None = None
        self._connect()

    def open(self, flow_steps: int, noise_seed: int) -> Contract:
        """Chooses the options of System-1, now and whenever the connection is made again; returns the contract of what is served."""
        options = {"flow_steps": flow_steps, "noise_seed": noise_seed}
        self._opened = options, self._contract(options)
        return self._opened[1]

    def call(self, name: str, arrays: Arrays | None = None, **values: Any) -> tuple[dict, Arrays]:
        """Sends a request and returns the server's answer.

        A request changes nothing on the server, so one that finds the connection closed (it was idle for too long, or the server was
        started again) is repeated on a new one.

        Raises:
            ConnectionLostError: the server is gone, gave no answer in time, or one that cannot be read.
            DialError: it refuses, with its reason; or it serves another checkpoint than before.
        """
        if self._socket is not None:
            try:
                return self._exchange(name, arrays or {}, values)
            except ConnectionLostError as error:
                if not isinstance(error.__cause__, (HungUpError, ConnectionError)):
                    raise
        self._connect()
        return self._exchange(name, arrays or {}, values)

    def array(self, name: str, shape: tuple[int, ...], arrays: Arrays, **values: Any) -> np.ndarray:
        """The array, float32 of this shape, that a request is answered with. Raises DialError as `call`, and for another answer."""
        result = self.call(name, arrays, **values)[1].get("result")
        if result is None or result.dtype != np.float32 or result.shape != tuple(shape):
            self.close()
            got = "no result" if result is None else f"{result.dtype} {result.shape}"
            raise DialError(f"the policy server at {self.address} answered {name} with {got}; expected float32 {tuple(shape)}")
        return result

    def close(self) -> None:
        """Ends the connection, until the next call."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        try:
            self._socket = socket.create_connection(self._place, timeout=TIMEOUT_S)
        except OSError as error:
            raise ConnectionLostError(
                f"no policy server at {self.address} ({error}); start one there with `dial serve CHECKPOINT --port {self._place[1]}`"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._opened is not None:
            self._open_again(*self._opened)

    def _open_again(self, options: dict[str, int], before: Contract) -> None:
        try:
            found = self._contract(options)
        except DialError as error:  # of options that were accepted before: it has too many clients, or is ending
            self.close()
            raise ConnectionLostError(f"connecting again: {error}") from error
        if found != before:
            self.close()
            raise EndOfJobsError(
                f"the policy server at {self.address} now serves another checkpoint: {found.model_id}, before {before.model_id}"
            )

    def _contract(self, options: dict[str, int]) -> Contract:
        answer, _ = self._exchange("open", {}, options)
        return validate(Contract, answer.get("contract", {}), source=self.address)

    def _exchange(self, name: str, arrays: Arrays, values: dict[str, Any]) -> tuple[dict, Arrays]:
        """One request and its answer, on the connection there is."""
        assert self._socket is not None
        # Ours again once the answer is complete: a late one would be taken for that to the next request.
        wire, self._socket = self._socket, None
        number = next(self._requests)
        try:
            send(wire, {"call": name, "request": number, **values}, arrays)
            answer, result = receive(wire)
            if answer.get("request", number) != number:  # older servers do not number their answers
                raise MalformedMessageError(f"an answer to request {answer['request']}, expected {number}")
        except (OSError, HungUpError, LostFramingError, MalformedMessageError) as error:
            raise ConnectionLostError(f"the policy server at {self.address} is lost: {error}; the next call connects again") from error
        else:
            self._socket = wire
        finally:
            if self._socket is None:
                wire.close()
        if answer.get("busy"):  # no fault of the request: another client has the last place
            self.close()
            raise ConnectionLostError(f"the policy server at {self.address} is full: {answer.get('error')}")
        if "error" in answer:
            raise DialError(f"the policy server at {self.address} refused: {answer['error']}")
        return answer, result


class RemoteSystem2:
    """Client of a `System2Session` on a policy server."""

    def __init__(self, connection: Connection, contract: Contract) -> None:
        self._connection, self.contract = connection, contract

    def foresight(self, image: np.ndarray, instruction: str) -> np.ndarray:
        """As `System2Session.foresight`."""
        return self._connection.array("foresight", self.contract.foresight_shape, {"image": np.asarray(image)}, instruction=instruction)

    def image_tokens(self, image: np.ndarray) -> np.ndarray:
        """As `System2Session.image_tokens`."""
        return self._connection.array("image_tokens", self.contract.foresight_shape, {"image": np.asarray(image)})


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
        arrays = {f"image{place}": np.asarray(image) for place, image in enumerate(images if isinstance(images, tuple) else (images,))}
        arrays |= {"foresight": np.asarray(foresight, np.float32), "state": np.asarray(state, np.float32)}
        if base is not None:
            arrays["base"] = np.asarray(base, np.float64)
        if committed is not None:
            arrays |= {f"committed_{name}": np.asarray(values, np.float64) for name, values in committed._asdict().items()}
        return self._connection.array("chunk", (self.contract.horizon, self.contract.action_dim), arrays)


def connect(address: str, flow_steps: int = 4, noise_seed: int = NO_NOISE) -> tuple[RemoteSystem2, RemoteSystem1]:
    """Returns both sessions of the server at `tcp://host:port`; the options are those of `System1Session`."""
    connection = Connection(address)
    contract = connection.open(flow_steps, noise_seed)
    return RemoteSystem2(connection, contract), RemoteSystem1(connection, contract)
