"""A policy of another project in our evaluations: behind a server of openpi's protocol, on the same scenes, by the same judges."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Arena, StepObservation
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.inference.websocket_policy import WebsocketPolicy
from dial_core.observation.camera_view import CameraView, fit_view
from dial_core.robot.embodiment import Embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.vector_layout import OURS, LayoutConverter, load_layout


@dataclass(frozen=True)
class PeerAddress:
    """`ws://HOST:PORT`, and after a `?` what the server calls things, where it differs from openpi's own examples.

    Attributes:
        server: the address alone.
        image, state, prompt: keys of the observation.
        size: height and width of its image [px].
        layout: of its state and actions; a name of `config/layouts/`.
        name: of the policy, as the user calls it. With a name it is the same policy behind every address; without, its address tells it
            from others, and one that is started again there with other weights is taken for the same.
    """

    server: str
    image: str = "observation/image"
    state: str = "observation/state"
    prompt: str = "prompt"
    size: int = 224
    layout: str = "ours"
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> PeerAddress:
        """Raises DialError where `text` names what there is not."""
        parts = urlsplit(text)
        chosen = dict(parse_qsl(parts.query))
        known = [field.name for field in fields(cls)][1:]
        if unknown := sorted(set(chosen) - set(known)):
            raise DialError(
                f"'{text}' sets {', '.join(unknown)}; there are {', '.join(known)}, as in ws://HOST:PORT?size=256&layout=released"
            )
        if not parts.hostname or not chosen.get("size", "1").isdigit():
            raise DialError(f"'{text}' is no address of a policy server; expected ws://HOST:PORT or ws://HOST:PORT?size=256")
        size = int(chosen.pop("size", cls.size))
        return cls(f"{parts.scheme}://{parts.netloc}{parts.path}", size=size, **chosen)


def peer_model_id(address: PeerAddress) -> str:
    """16 hex digits of what the server reports of itself, its name or else its address, and the view it is given.

    Raises:
        ConnectionLostError: nobody answers.
    """
    server = WebsocketPolicy(address.server)
    server.close()
    return _model_id(address, server)


def _model_id(address: PeerAddress, server: WebsocketPolicy) -> str:
    named = replace(address, server="") if address.name else address
    return hashlib.sha256(repr((server.metadata, named)).encode()).hexdigest()[:16]


class PeerPolicy:
    """Asks for a chunk every `execute_steps` and commands its rows as they are, one a control step, as such projects run theirs.

    The server gets the image, the state and the instruction; it must answer with absolute targets in the layout's order.
    """

    foresight_age_s: float | None = None

    def __init__(self, address: PeerAddress, protocol: Protocol) -> None:
        self._address, self._protocol = address, protocol
        self._server: WebsocketPolicy | None = None  # a connection an episode: after an error the old one may be out of step
        self._view = CameraView(name=protocol.camera, height=address.size, width=address.size)
        self.received_instruction = ""
        self._rows: list[np.ndarray] = []

    @property
    def needs_image(self) -> bool:
        """Whether a new chunk is due."""
        return not self._rows

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """Connects for a new episode.

        Raises:
            ConnectionLostError: nobody answers.
            EndOfJobsError: the server reports something else of itself than when the evaluation was begun.
        """
        if self._server is not None:
            self._server.close()
        self._server = WebsocketPolicy(self._address.server)
        self._protocol.require_model(_model_id(self._address, self._server), self._address.server)
        self.received_instruction, self._rows = instruction, []
        self._robot: Embodiment = arena.embodiment
        self._kinematics = ForwardKinematics(self._robot)
        layout = load_layout(self._address.layout)
        self._converter = None if layout == OURS else LayoutConverter(layout, self._robot)

    def targets(self, observation: StepObservation) -> np.ndarray:
        """The next row's joint targets (J,) [rad]; asks the server first when a new chunk is due.

        Raises:
            DialError: its actions have another width than the robot's, or fewer rows than are executed.
        """
        if not self._rows:
            self._rows = list(self._chunk(observation))
        return self._rows.pop(0)[self._robot.joint_slice].astype(np.float64)

    def _chunk(self, observation: StepObservation) -> np.ndarray:
        state = self._kinematics.state(observation.joints)
        if self._converter:
            state = self._converter.from_ours(state, observation.base)
        image = fit_view(observation.image, self._view)
        values = {self._address.image: image, self._address.state: state, self._address.prompt: self.received_instruction}
        assert self._server is not None  # begin connects
        chunk = self._server.infer(values)
        if len(chunk) < self._protocol.execute_steps or chunk.shape[1] != len(state):
            raise DialError(
                f"the policy server at {self._address.server} answered with actions {chunk.shape}; expected at least "
                f"{self._protocol.execute_steps} rows (execute_steps) of {len(state)} numbers, the robot's state and actions in the layout "
                f"{self._address.layout}"
            )
        if not np.isfinite(chunk).all():
            raise DialError(f"the policy server at {self._address.server} answered with actions that are not finite")
        if self._converter:
            chunk = self._converter.to_ours(chunk, observation.base)
        return chunk[: self._protocol.execute_steps]
