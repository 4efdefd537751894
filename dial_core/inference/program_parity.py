"""An exported program compared with the eager model, on the same observations, in error and in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session

TIMED_CALLS = 20


@dataclass(frozen=True)
class RecordedObservation:
    """Inputs of both systems at one time: images uint8 (H, W, 3) of every camera, the instruction, the state (S,)."""

    images: tuple[np.ndarray, ...]
    instruction: str
    state: np.ndarray


@dataclass(frozen=True)
class ProgramParity:
    """A program compared with the eager model on the same observations.

    Attributes:
        observations: their number.
        largest_error: of any output value, over the standard deviation of the model's outputs.
        rms_error: root mean square of all output values' errors, over the same.
        cosine: smallest cosine similarity of an output with the model's.
        eager_ms, program_ms: median time of a call, measured in turns; 0 if not measured.
    """

    observations: int
    largest_error: float
    rms_error: float
    cosine: float
    eager_ms: float
    program_ms: float


def compare(
    eager: System1Session | System2Session,
    program: System1Session | System2Session,
    observations: Sequence[RecordedObservation],
    call: Callable[..., np.ndarray],
    turns: int = TIMED_CALLS,
) -> ProgramParity:
    """Compares a session with another one of the same system on observations, and times both in turns."""
    pairs = [(call(eager, seen), call(program, seen)) for seen in observations]
    spread = float(np.std(np.stack([ours for ours, _ in pairs])))
    errors = np.stack([theirs - ours for ours, theirs in pairs]) / spread
    cosines = [float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs]
    times_s: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        for session, taken in zip((eager, program), times_s, strict=True):
            started = time.perf_counter()
            call(session, observations[turn % len(observations)])
            taken.append(time.perf_counter() - started)
    eager_ms, program_ms = (round(1e3 * median(taken), 2) if taken else 0.0 for taken in times_s)
    largest, rms = float(np.abs(errors).max()), float(np.sqrt(np.square(errors).mean()))
    return ProgramParity(len(pairs), largest, rms, min(cosines), eager_ms, program_ms)
