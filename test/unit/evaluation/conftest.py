"""A stand-in table without physics, and a policy that only listens: they show what the harness does, and what it would hide."""

import hashlib

import numpy as np
import pytest

from dial_core.checkpoint.checkpoint import make_random_checkpoint
from dial_core.evaluation.closed_loop import audit, rollout
from dial_core.evaluation.closed_loop.arena import EndState, StepObservation
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.robot.embodiment import load_embodiment

EMBODIMENT = load_embodiment()
RANDOM = PolicySource("random")


class StandInArena:
    """Done at the control steps that `done_at` says; everything else follows from the seed."""

    embodiment = EMBODIMENT
    max_steps = 20

    def __init__(self, task: str, done_at=range(6, 100)) -> None:
        self.task, self.done_at, self.steps, self.seed = task, done_at, 0, 0

    @property
    def instruction(self) -> str:
        return f"{self.task}: put thing {self.seed} on the plate"

    def reset(self, seed: int, other: bool = False) -> None:
        self.seed, self.steps = seed, 0

    def observe(self, look: bool = True) -> StepObservation:
        return StepObservation(np.zeros((96, 96, 3), np.uint8), EMBODIMENT.home_position.copy(), self.instruction)

    @property
    def set_points(self) -> np.ndarray:
        return EMBODIMENT.home_position.copy()

    def advance(self, targets: np.ndarray) -> bool:
        self.steps += 1
        return self.steps in self.done_at

    def other_instruction(self) -> str:
        return self.instruction.replace("thing", "other thing")

    def scene_id(self) -> str:
        return hashlib.sha256(f"{self.task} {self.seed}".encode()).hexdigest()[:12]

    def video_frame(self) -> np.ndarray:
        return np.zeros((64, 64, 3), np.uint8)

    def outcome(self) -> EndState:
        return EndState(1, self.steps in self.done_at, False)

    def close(self) -> None:
        pass


class ListeningPolicy:
    """Stands still and keeps the instruction it was given."""

    received_instruction = ""
    needs_image = True
    foresight_age_s = None

    def begin(self, arena, seed: int, instruction: str) -> None:
        self.received_instruction = instruction

    def targets(self, observation: StepObservation) -> np.ndarray:
        return EMBODIMENT.home_position


@pytest.fixture
def fresh_worker():
    """No arena or policy of another test is kept in this process."""
    rollout._arenas.clear()
    rollout._policies.clear()
    yield
    rollout._arenas.clear()
    rollout._policies.clear()


@pytest.fixture
def stand_in(monkeypatch, fresh_worker):
    """Episodes of this process take place on the stand-in table: patch its class or `rollout` to plant a bug."""
    monkeypatch.setattr(rollout, "make_arena", lambda suite, task, *_: StandInArena(task))
    monkeypatch.setattr(rollout, "make_policy", lambda protocol, source: ListeningPolicy())
    monkeypatch.setattr(audit, "instruction_of", lambda suite, case, other: f"{case.task}: put thing {case.seed} on the plate")
    return StandInArena


@pytest.fixture
def protocol() -> Protocol:
    """Three scenes of two tasks."""
    return Protocol(policy="random", tasks=("PlacematToPlate", "TrayToPot"), episodes=3)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A checkpoint with random weights."""
    folder = tmp_path_factory.mktemp("evaluated") / "checkpoint"
    make_random_checkpoint(folder)
    return folder
