"""What drives the robot in an evaluation: a checkpoint, here or on another machine, a peer, the expert, a replay, or chance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

import numpy as np
import torch

from dial_core.checkpoint.contract import read_contract
from dial_core.checkpoint.location import checkpoint_folder
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Arena, StepObservation, TabletopArena
from dial_core.evaluation.closed_loop.dial_policy import DialPolicy, image_px_of, open_sessions, require_fitting
from dial_core.evaluation.closed_loop.peer_policy import PeerAddress, PeerPolicy, peer_model_id
from dial_core.evaluation.closed_loop.protocol import PolicyKind, Protocol
from dial_core.inference.ready import dtype_of, require_device
from dial_core.inference.websocket_policy import SCHEMES
from dial_core.inference.wire import SCHEME
from dial_core.sim.expert.expert import Expert

REPLAY = "replay:"
NOT_REPLAYED = ("disturbed", "changed", "missed")  # facts of episodes that their recorded actions do not repeat
RANDOM_STEP_RAD = 0.05  # standard deviation of the random policy's step [rad]


class Policy(Interface):
    """Gives joint targets at the control rate.

    `received_instruction` is the instruction it works from, and `foresight_age_s` the mean age of the foresights it acted on [s], if it
    has any: both go into the result, so that a report can be held against what happened.
    """

    received_instruction: str

    @property
    def needs_image(self) -> bool:
        """Whether the coming control step needs an image."""

    @property
    def foresight_age_s(self) -> float | None:
        """See above."""

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """A new episode: `arena` was just reset to the scene of `seed`."""

    def targets(self, observation: StepObservation) -> np.ndarray:
        """Absolute joint targets [rad] for one control step from now: (J,) at its end, or (K, J) at the ends of its K parts."""


class _WithoutForesight:
    """What the policies without a model share."""

    received_instruction = ""
    needs_image = False
    foresight_age_s: float | None = None


class ExpertPolicy(_WithoutForesight):
    """The scripted expert, for reference. It acts on the world's state, not on the image."""

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """Plans for the scene.

        Raises:
            DialError: the arena is not our tabletop; there is an expert for no other.
        """
        if not isinstance(arena, TabletopArena):
            raise DialError("the scripted expert knows our own tabletop only; evaluate a checkpoint or `random` on this suite")
        self.received_instruction = instruction
        self._joints = arena.embodiment.joint_slice
        self._expert = Expert(arena.world, seed)

    def targets(self, observation: StepObservation) -> np.ndarray:
        """The expert's next action."""
        return self._expert.action()[self._joints].astype(np.float64)


class RandomPolicy(_WithoutForesight):
    """A random walk of the joint targets inside their limits: what chance reaches."""

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """Starts from the measured joints; equal seeds walk equally."""
        self.received_instruction = instruction
        self._limits = arena.embodiment.lower, arena.embodiment.upper
        self._rng = np.random.default_rng([seed, 4])
        self._walk = arena.observe(look=False).joints.astype(np.float64)

    def targets(self, observation: StepObservation) -> np.ndarray:
        """The last targets and a step of 0.05 rad (standard deviation)."""
        self._walk = np.clip(self._walk + self._rng.normal(0.0, RANDOM_STEP_RAD, self._walk.shape), *self._limits)
        return self._walk


class ReplayPolicy(_WithoutForesight):
    """A dataset's recorded actions on the scenes they were recorded in, open loop: does the simulation do the same again?

    Episodes in which the robot was pushed off the expert's path hold what the expert meant and not what was done, and those whose
    instruction had just changed, or whose hand had just missed, begin elsewhere than their scene: none of them can be replayed.
    """

    def __init__(self, folder: Path) -> None:
        """Raises DialError if `folder` is no LeRobot v3 dataset."""
        self._dataset = LeRobotDataset(folder)
        spans = [span for span in self._dataset.episodes if not any(span.facts.get(fact) for fact in NOT_REPLAYED)]
        self._spans = {(span.facts.get("task"), span.seed): span for span in spans}

    @property
    def model_id(self) -> str:
        """16 hex digits of the dataset's actions."""
        return hashlib.sha256(self._dataset.actions.tobytes()).hexdigest()[:16]

    def seeds(self, task: str) -> list[int]:
        """Seeds of the episodes of `task` that can be replayed, in order."""
        return sorted(seed for name, seed in self._spans if name == task)

    def begin(self, arena: Arena, seed: int, instruction: str) -> None:
        """Finds the episode of the scene.

        Raises:
            DialError: the dataset has none of this task and seed.
        """
        task = getattr(arena, "task", "")
        span = self._spans.get((task, seed))
        if span is None:
            known = self.seeds(task)
            there = f"seeds {known[0]} to {known[-1]} ({len(known)} of them)" if known else "other tasks, or disturbed episodes only"
            raise DialError(f"{self._dataset.folder} holds no undisturbed episode of task {task}, seed {seed}; it has {there}")
        self.received_instruction = span.instruction
        self._actions = iter(self._dataset.actions[span.first : span.first + span.length, arena.embodiment.joint_slice])
        self._last: np.ndarray | None = None

    def targets(self, observation: StepObservation) -> np.ndarray:
        """The next recorded action; the last one again when they are used up."""
        self._last = next(self._actions, self._last)
        assert self._last is not None
        return self._last.astype(np.float64)


@dataclass(frozen=True)
class PolicySource:
    """Where a policy comes from: its kind, and the folder or address of a checkpoint, dataset or server; where a checkpoint computes."""

    kind: PolicyKind
    location: str = ""
    device: str = "cpu"

    @property
    def served(self) -> bool:
        """Whether it is a checkpoint behind `dial serve`."""
        return self.kind == "checkpoint" and self.location.startswith(SCHEME)

    @classmethod
    def parse(cls, text: str, device: str = "cpu") -> PolicySource:
        """`expert`, `random`, `replay:DATASET`, `tcp://` or `ws://HOST:PORT`, or a checkpoint (folder or name), as on the command line."""
        if text == "expert":
            return cls("expert")
        if text == "random":
            return cls("random")
        if text.startswith(REPLAY):
            return cls("replay", text.removeprefix(REPLAY))
        if text.startswith(SCHEMES):
            PeerAddress.parse(text)
            return cls("peer", text)
        return cls("checkpoint", text if "/" in text or Path(text).exists() else str(checkpoint_folder(text)), device)

    @classmethod
    def with_foresight(cls, text: str) -> PolicySource:
        """As `parse`, of what studies of the foresight take. Raises DialError for a policy that has none."""
        source = cls.parse(text)
        if source.kind != "checkpoint":
            raise DialError(f"{text} has no foresight; give a checkpoint (folder or name), or {SCHEME}HOST:PORT of `dial serve`")
        return source

    def facts(self, protocol: Protocol) -> dict:
        """What goes into the protocol of the policy itself, once it is known to fit: kind, id, size of its image, seeds.

        Raises:
            DialError: no checkpoint or dataset is there, or the protocol does not fit it.
        """
        if self.kind == "checkpoint":
            contract = open_sessions(self.location, protocol)[0].contract if self.served else read_contract(self.location)
            require_fitting(protocol, contract)
            require_device(self.device)
            if protocol.runtime != "eager" and not self.served:
                open_sessions(self.location, protocol, self.device)  # a program that does not open would be a crash in every episode
            return {"policy": self.kind, "model_id": contract.model_id, "image_px": image_px_of(contract), **self._computing}
        if self.kind == "peer":
            address = PeerAddress.parse(self.location)
            return {"policy": self.kind, "model_id": peer_model_id(address), "image_px": address.size, "execution": "direct"}
        if self.kind == "replay":
            seeds = self.seeds(protocol)
            replayed = {"model_id": ReplayPolicy(Path(self.location)).model_id, "seeds": seeds, "episodes": len(seeds)}
            return {"policy": self.kind, "execution": "direct", **replayed}
        return {"policy": self.kind, "execution": "direct", "model_id": ""}

    @property
    def _computing(self) -> dict[str, str]:
        """Device and precision of a checkpoint, for the protocol; a server does not report its own."""
        if self.served:
            return {"device": "", "precision": ""}
        device = torch.device(self.device)
        return {"device": device.type, "precision": str(dtype_of("auto", device)).removeprefix("torch.")}

    def seeds(self, protocol: Protocol) -> tuple[int, ...]:
        """The seeds that a replay has for the protocol's task, at most `episodes` of them.

        Raises:
            DialError: the dataset has none, or the protocol asks for several tasks.
        """
        if len(protocol.tasks) != 1:
            raise DialError("a replay takes one task at a time: the seeds differ by task; choose one with --task")
        (task,) = protocol.tasks
        seeds = [seed for seed in ReplayPolicy(Path(self.location)).seeds(task) if seed >= protocol.seed]
        if not seeds:
            raise DialError(f"{self.location} holds no undisturbed episode of task {task} with a seed of at least {protocol.seed}")
        return tuple(seeds[: protocol.episodes])


def make_policy(protocol: Protocol, source: PolicySource) -> Policy:
    """The policy that a protocol asks for, ready for its first episode.

    Raises:
        DialError: it cannot be loaded, or does not fit the protocol.
        EndOfJobsError: the checkpoint or dataset is another one than that of the protocol.
    """
    if source.kind == "expert":
        return ExpertPolicy()
    if source.kind == "random":
        return RandomPolicy()
    if source.kind == "replay":
        replay = ReplayPolicy(Path(source.location))
        protocol.require_model(replay.model_id, source.location)
        return replay
    if source.kind == "peer":
        return PeerPolicy(PeerAddress.parse(source.location), protocol)
    system2, system1 = open_sessions(source.location, protocol, source.device)
    protocol.require_model(system1.contract.model_id, source.location)
    return DialPolicy(system2, system1, protocol)
