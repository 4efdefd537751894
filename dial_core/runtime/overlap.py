"""Chunks overlap: each looks 0.8 s ahead and the next one comes after a fraction of that. What is to be done where several speak?

`replace`: the newest speaks alone. `ensemble`: all that reach a moment are averaged, evenly (temporal ensembling,
Zhao et al. 2023, "Learning fine-grained bimanual manipulation", Sec. 4.2, with m = 0). Why it matters: where the
demonstrations slow down at a waypoint, one look cannot tell arriving from leaving. The newest chunk alone then asks to
stay, again and again; the mean goes on with what the earlier ones, made in motion, intended.
"""

from typing import Literal, Protocol, get_args

import numpy as np

from dial_core.errors import DialError
from dial_core.runtime.motion import NANOSECONDS

Strategy = Literal["ensemble", "replace"]


class Overlap(Protocol):
    """A strategy for overlapping chunks."""

    def targets(self, stamp_ns: int, targets: np.ndarray) -> np.ndarray:
        """What to do from a new chunk on.

        Args:
            stamp_ns: time of the chunk's observation; none is older than the one before.
            targets: (H, J) [rad], `targets[k]` to be reached at the stamp + (k + 1) steps.

        Returns:
            (H, J) [rad] for the same moments.
        """

    def forget(self) -> None:
        """Earlier chunks speak no more: another instruction, a stop, a jump of the clock."""


class Replace:
    """The newest chunk speaks alone."""

    def targets(self, stamp_ns: int, targets: np.ndarray) -> np.ndarray:
        return targets

    def forget(self) -> None:
        pass


class Ensemble:
    """The even mean, moment by moment, of all chunks that reach it; those in between their targets are interpolated."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._chunks: list[tuple[int, np.ndarray]] = []  # (stamp [ns], targets (H, J)), oldest first

    def targets(self, stamp_ns: int, targets: np.ndarray) -> np.ndarray:
        horizon, total, voices = len(targets), targets.astype(np.float64), np.ones(len(targets))
        alive = []
        for earlier_ns, earlier in self._chunks:
            # The new chunk's moments, in rows of the earlier one.
            rows = np.arange(horizon) + (stamp_ns - earlier_ns) / NANOSECONDS / self._step_s
            rows = rows[rows <= len(earlier) - 1 + 1e-6]
            if len(rows):
                total[: len(rows)] += _between(earlier, rows)
                voices[: len(rows)] += 1
                alive.append((earlier_ns, earlier))
        self._chunks = [*alive, (stamp_ns, targets)]
        return total / voices[:, None]

    def forget(self) -> None:
        self._chunks.clear()


def make_overlap(strategy: str, step_s: float) -> Overlap:
    """The strategy of that name, for chunks with a target every `step_s` [s].

    Raises:
        DialError: there is none of that name.
    """
    if strategy not in get_args(Strategy):
        raise DialError(f"strategy '{strategy}' for overlapping chunks is not known; choose one of {', '.join(get_args(Strategy))}")
    return Ensemble(step_s) if strategy == "ensemble" else Replace()


def _between(targets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Targets (K, J) at fractional `rows` (K,) of `targets` (H, J), linear."""
    before = np.minimum(rows.astype(int), len(targets) - 1)
    after = np.minimum(before + 1, len(targets) - 1)
    share = np.clip(rows - before, 0.0, 1.0)[:, None]
    return (1 - share) * targets[before] + share * targets[after]
