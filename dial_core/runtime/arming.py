"""Whether System-1 may move the robot: a small state machine over instruction and the ages of its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """States of System-1; the names are those of System1Status."""

    DISARMED = "disarmed"  # no instruction, or the clock jumped back: publishes nothing
    WAITING = "waiting"  # armed, but an input has never arrived since
    RUNNING = "running"  # publishes chunks
    HOLDING = "holding"  # an input went stale: decelerated to a stop, goes on by itself


@dataclass(frozen=True)
class Input:
    """One stream that System-1 lives on: age of its newest value [s], None before the first, and the limit [s]."""

    age_s: float | None
    timeout_s: float


class Arming:
    """Arms on a new instruction, holds on stale inputs, disarms when the clock jumps back."""

    def __init__(self) -> None:
        self.state = State.DISARMED
        self.reason = "no instruction"
        self.changed_ns = 0
        self.instruction_id = ""

    def instruct(self, instruction_id: str, now_ns: int) -> bool:
        """Takes a new instruction; True if a hold must be sent, because the robot still moves for the one before.

        The id that was current before a clock jump does not arm again: only a new request does.
        """
        if instruction_id == self.instruction_id:
            return False
        moving = self.state is State.RUNNING
        self.instruction_id = instruction_id
        self._change(State.WAITING, "waiting for the first foresight of a new instruction", now_ns)
        return moving

    def clock_jumped(self, now_ns: int) -> None:
        """Disarms until a new instruction id."""
        self._change(State.DISARMED, "the clock jumped back; send a new instruction", now_ns)

    def disarm(self, reason: str, now_ns: int) -> None:
        """Disarms and forgets the instruction (deactivation)."""
        self.instruction_id = ""
        self._change(State.DISARMED, reason, now_ns)

    def update(self, inputs: Mapping[str, Input], now_ns: int) -> bool:
        """Judges the inputs (name -> Input); True exactly when a decelerating hold must be sent now."""
        if self.state is State.DISARMED:
            return False
        missing = [name for name, stream in inputs.items() if stream.age_s is None]
        stale = [
            f"{name} {stream.age_s:.2f} s old (limit {stream.timeout_s:.2f} s)"
            for name, stream in inputs.items()
            if stream.age_s is not None and stream.age_s > stream.timeout_s
        ]
        was_running = self.state is State.RUNNING
        if not missing and not stale:
            self._change(State.RUNNING, "", now_ns)
            return False
        if was_running or self.state is State.HOLDING:
            # The reason that led to the hold stays until all is fresh: ages in it would change with every look.
            if was_running:
                self._change(State.HOLDING, "; ".join(stale + [f"no {name}" for name in missing]), now_ns)
            return was_running
        self._change(State.WAITING, "waiting for " + ", ".join(missing or ["fresh input: " + "; ".join(stale)]), now_ns)
        return False

    def _change(self, state: State, reason: str, now_ns: int) -> None:
        if state is not self.state:
            self.changed_ns = now_ns
        self.state, self.reason = state, reason
