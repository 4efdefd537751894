"""Compares what System-2 expected one horizon ago with what it sees now, in the space of its own vision tower."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from dial_core.control.motion import NANOSECONDS

REMEMBERED = 400  # expectations: 4 s at 100 Hz


@dataclass(frozen=True)
class ForesightError:
    """How wrong an expectation was: 1 - cosine similarity, averaged over the image tokens [1].

    Attributes:
        error: between the foresight of one horizon ago and the view of now.
        unchanged: between the view of one horizon ago and the view of now, the error of expecting no change at all.
    """

    error: float
    unchanged: float


@dataclass(frozen=True)
class _Expectation:
    due_ns: int
    foresight: np.ndarray  # (N, D)
    view: np.ndarray  # (N, D)


class ForesightCheck:
    """Remembers foresights of the current instruction until their horizon has passed."""

    def __init__(self, horizon_s: float, tolerance_s: float) -> None:
        """`tolerance_s`: how far [s] a view may be from the time that a foresight was made for."""
        self._horizon_ns, self._tolerance_ns = round(horizon_s * NANOSECONDS), round(tolerance_s * NANOSECONDS)
        self._waiting: deque[_Expectation] = deque(maxlen=REMEMBERED)
        self._instruction_id = ""

    def note(self, stamp_ns: int, foresight_ND: np.ndarray, view_ND: np.ndarray, instruction_id: str) -> ForesightError | None:
        """Adds the foresight of the view at `stamp_ns`, and returns the error of the one that was made for this moment.

        None while there is no such foresight: in the first horizon of an instruction, or after a gap.
        """
        if instruction_id != self._instruction_id or (self._waiting and stamp_ns + self._horizon_ns <= self._waiting[-1].due_ns):
            self._waiting.clear()  # another instruction has another future, and a clock that went back another past
            self._instruction_id = instruction_id
        found: _Expectation | None = None
        while self._waiting and self._waiting[0].due_ns <= stamp_ns + self._tolerance_ns:
            found = self._waiting.popleft()
        self._waiting.append(_Expectation(stamp_ns + self._horizon_ns, foresight_ND, view_ND))
        if found is None or found.due_ns < stamp_ns - self._tolerance_ns:
            return None
        return ForesightError(cosine_distance(found.foresight, view_ND), cosine_distance(found.view, view_ND))


def cosine_distance(a_ND: np.ndarray, b_ND: np.ndarray) -> float:
    """1 - cosine similarity of corresponding tokens, averaged over the N tokens; 0: the same directions, 1: unrelated."""
    a, b = np.asarray(a_ND, np.float64), np.asarray(b_ND, np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean(1.0 - np.sum(a * b, axis=1) / np.maximum(norms, 1e-12)))
