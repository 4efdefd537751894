"""`dial serve`: one checkpoint behind a TCP port, for any number of clients, one call at a time."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from collections import OrderedDict
from copy import copy
from pathlib import Path

import numpy as np
import torch

from dial_core.checkpoint.checkpoint import Checkpoint, load_checkpoint
from dial_core.control.overlap import Committed
from dial_core.errors import DialError
from dial_core.inference.ready import dtype_of, require_device
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.inference.warm_up import warm_up_system1
from dial_core.inference.wire import SCHEME, Arrays, HungUpError, LostFramingError, MalformedMessageError, integer, receive, send, text
from dial_core.model.flow_matching import NO_NOISE

MAX_CLIENTS = 32
MAX_FLOW_STEPS = 64
MAX_INSTRUCTION = 1000  # [characters]
FLOW_STEPS = 4  # of a client that opens nothing
OPTIONS_KEPT = 4  # System-1 sessions kept for clients to come; those in use live on with their clients
IDLE_S = 600.0  # a client that sends nothing for so long is let go
CALLS = ("open", "foresight", "image_tokens", "chunk")

log = logging.getLogger(__name__)


class PolicyServer(socketserver.ThreadingTCPServer):
    """Serves one checkpoint. All clients share its model and System-2, and those of equal options share System-1.

    Such a client costs a thread. Other options cost a System-1 session: some kilobytes on a CPU, captured graphs on CUDA.
    Whatever touches the model, the making of sessions included, holds `one_at_a_time`.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, checkpoint: Path, host: str = "127.0.0.1", port: int = 0, device: str = "cpu") -> None:
        """Port 0 takes a free one; `address` says which.

        Raises:
            DialError: no checkpoint or device there, or nobody can listen at that address.
        """
        require_device(device)
        # In the precision that its sessions compute in: a 3B model read in float32 takes twice the memory until it is converted.
        self.checkpoint: Checkpoint = load_checkpoint(checkpoint, dtype=dtype_of("auto", torch.device(device)))
        self.device = device
        self.one_at_a_time = threading.Lock()
        # Made before the first client can connect: this moves and lays out the weights, and finds out whether the device works.
        self._system2 = System2Session(self.checkpoint, device)
        self._system1: OrderedDict[tuple[int, int], System1Session] = OrderedDict()  # by options, the least recently used first
        self.system1()
        self.places = threading.Semaphore(MAX_CLIENTS)
        try:
            super().__init__((host, port), _Client)
        except OSError as error:
            raise DialError(f"cannot listen at {host}:{port}: {error.strerror}; choose another --port, or 0 for a free one") from error

    @property
    def address(self) -> str:
        """Where clients find it: `tcp://host:port`."""
        host, port = self.server_address[:2]
        return f"{SCHEME}{host!s}:{port}"

    def system2(self) -> System2Session:
        """A client's System-2: the shared one, with a last prompt of its own."""
        return copy(self._system2)

    def system1(self, flow_steps: int = FLOW_STEPS, noise_seed: int = NO_NOISE) -> System1Session:
        """The System-1 of these options, made and warmed up if there is none yet. The caller holds `one_at_a_time`."""
        options = flow_steps, noise_seed
        if options not in self._system1:
            session = System1Session(self.checkpoint, self.device, *options)
            # Which strategy a client uses is unknown, so both paths; and so is where its robot stands.
            warm_up_system1(session, np.zeros(session.contract.state_dim, np.float32), committing=True, base=np.eye(4))
            self._system1[options] = session
            if len(self._system1) > OPTIONS_KEPT:
                self._system1.popitem(last=False)
        self._system1.move_to_end(options)
        return self._system1[options]


class _Client(socketserver.BaseRequestHandler):
    """Serves one client until it disconnects. Every refusal is answered with its reason."""

    server: PolicyServer

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(IDLE_S)
        with contextlib.suppress(OSError):  # gone while it was answered
            if not self.server.places.acquire(blocking=False):
                full = _refusal(DialError(f"{MAX_CLIENTS} clients are connected, the most that are served; try again later"))
                send(self.request, full | {"busy": True}, {})
                return
            try:
                self._serve()
            finally:
                self.server.places.release()

    def _serve(self) -> None:
        with self.server.one_at_a_time:
            self._system2, self._system1 = self.server.system2(), self.server.system1()
        while True:
            try:
                header, arrays = receive(self.request)
            except HungUpError:
                return
            except LostFramingError as error:  # where the next message begins is unknown
                self._refuse(error)
                return
            except MalformedMessageError as error:
                self._refuse(error)
            else:
                send(self.request, *self._answered(header, arrays))

    def _refuse(self, error: Exception) -> None:
        send(self.request, _refusal(error), {})

    def _answered(self, header: dict, arrays: Arrays) -> tuple[dict, Arrays]:
        """The answer or the refusal, with the request's number as the client gave it."""
        try:
            with self.server.one_at_a_time:
                answer, result = self._answer(header, arrays)
        except DialError as error:
            answer, result = _refusal(error), {}
        except Exception as error:  # one client's request ends neither its connection nor the server
            log.exception("call '%s' of a client failed", str(header.get("call"))[:60])
            answer, result = _refusal(error), {}
        return answer | {key: value for key, value in header.items() if key == "request"}, result

    def _answer(self, header: dict, arrays: Arrays) -> tuple[dict, Arrays]:
        call = header.get("call")
        if call == "open":
            flow_steps, noise_seed = integer(header, "flow_steps", 1, MAX_FLOW_STEPS), integer(header, "noise_seed", NO_NOISE, 2**63 - 1)
            self._system1 = self.server.system1(flow_steps, noise_seed)
            return {"contract": self._system1.contract.model_dump()}, {}
        if call == "foresight":
            (image,) = _named(arrays, "image")
            return {}, {"result": self._system2.foresight(image, text(header, "instruction", MAX_INSTRUCTION))}
        if call == "image_tokens":
            return {}, {"result": self._system2.image_tokens(*_named(arrays, "image"))}
        if call == "chunk":
            contract = self._system1.contract
            images = tuple(_named(arrays, *(f"image{place}" for place in range(len(contract.views)))))
            committed = None
            if "committed_actions" in arrays:
                committed = Committed(*_named(arrays, "committed_actions", "committed_weights"))
                shapes = committed.actions.shape, committed.weights.shape
                if shapes != ((contract.horizon, contract.action_dim), (contract.horizon,)):
                    raise MalformedMessageError(f"committed actions and weights of shapes {shapes}, the horizon is {contract.horizon}")
            foresight, state = _named(arrays, "foresight", "state")
            base = arrays.get("base")
            if base is not None and base.shape != (4, 4):
                raise MalformedMessageError(f"base of shape {base.shape}; expected a pose (4, 4)")
            return {}, {"result": self._system1.chunk(images, foresight, state, committed, base)}
        raise DialError(f"unknown call '{str(call)[:60]}'; known: {', '.join(CALLS)}")


def _refusal(error: Exception) -> dict:
    return {"error": f"{type(error).__name__}: {error}"}


def _named(arrays: Arrays, *names: str) -> list:
    """The arrays of these names; raises MalformedMessageError for one that was not sent."""
    if missing := [name for name in names if name not in arrays]:
        raise MalformedMessageError(f"array {', '.join(missing)} is missing; sent were {', '.join(arrays) or 'none'}")
    return [arrays[name] for name in names]
