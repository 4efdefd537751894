"""Strategies for overlapping chunks: each covers 0.8 s, and the next one arrives after a fraction of that.

- `replace`: only the newest is followed.
- `blend`: the old one fades out over 0.2 s from the moment the new one takes over.
- `ensemble`: all chunks that cover a moment are averaged, evenly (temporal ensembling, Zhao et al. 2023, "Learning fine-grained
  bimanual manipulation", Sec. 4.2, with m = 0). Why it matters: where demonstrations slow down at a waypoint, a single
  observation cannot distinguish arriving from leaving. The newest chunk alone then asks to stay, again and again; the mean
  continues what the earlier ones, made in motion, intended.
- `rtc`: real-time chunking (Black et al. 2025, "Real-time execution of action chunking flow policies"): only the newest is
  followed, but it was made to agree with the one before: what will have been executed before the new chunk can take over is
  given to the flow sampler, which inpaints the rest.

All count consumed, not produced steps: the row of an older chunk follows from the two observations' stamps.
"""

from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.errors import DialError

Strategy = Literal["ensemble", "replace", "blend", "rtc"]
FADE_S = 0.2


class Committed(NamedTuple):
    """What a chunk to be made should agree with. `actions`: (H, A), physical units; `weights`: (H,), 1 where it must, 0 where free."""

    actions: np.ndarray
    weights: np.ndarray


class Overlap(Protocol):
    """A strategy for overlapping chunks."""

    def committed(self, stamp_ns: int, delay_s: float) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` should agree with, if it can take over `delay_s` [s] after that."""

    def targets(self, stamp_ns: int, chunk: np.ndarray, takes_over_ns: int) -> np.ndarray:
        """Targets from a new chunk on.

        Args:
            stamp_ns: time of the chunk's observation; none is older than the one before.
            chunk: (H, A), `chunk[k]` to be reached at the stamp + (k + 1) steps.
            takes_over_ns: time from which the controllers have it.

        Returns:
            (H, A) for the same moments.
        """

    def reset(self) -> None:
        """Drops earlier chunks (another instruction, a stop, a clock step)."""


class Replace:
    """Only the newest chunk is followed."""

    def committed(self, stamp_ns: int, delay_s: float) -> Committed | None:
        return None

    def targets(self, stamp_ns: int, chunk: np.ndarray, takes_over_ns: int) -> np.ndarray:
        return chunk

    def reset(self) -> None:
        pass


class Blend(Replace):
    """A cross-fade: what was intended before fades out from the moment the new chunk takes over."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._before: tuple[int, np.ndarray] | None = None  # stamp [ns] and targets (H, A), faded themselves

    def targets(self, stamp_ns: int, chunk: np.ndarray, takes_over_ns: int) -> np.ndarray:
        faded = chunk.astype(np.float64)
        if self._before is not None:
            rows = _rows_of(self._before, stamp_ns, len(chunk), self._step_s)
            after_s = self._step_s * np.arange(1, len(rows) + 1) - (takes_over_ns - stamp_ns) / NANOSECONDS
            share = np.clip(after_s / FADE_S, 0.0, 1.0)[:, None]
            faded[: len(rows)] = share * faded[: len(rows)] + (1 - share) * _between(self._before[1], rows)
        self._before = (stamp_ns, faded)
        return faded

    def reset(self) -> None:
        self._before = None


class Ensemble(Replace):
    """The even mean, moment by moment, of all chunks that reach it; those in between their targets are interpolated."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._chunks: list[tuple[int, np.ndarray]] = []  # (stamp [ns], chunk (H, A)), oldest first

    def targets(self, stamp_ns: int, chunk: np.ndarray, takes_over_ns: int) -> np.ndarray:
        total, voices = chunk.astype(np.float64), np.ones(len(chunk))
        alive = []
        for earlier in self._chunks:
            rows = _rows_of(earlier, stamp_ns, len(chunk), self._step_s)
            if len(rows):
                total[: len(rows)] += _between(earlier[1], rows)
                voices[: len(rows)] += 1
                alive.append(earlier)
        self._chunks = [*alive, (stamp_ns, chunk)]
        return total / voices[:, None]

    def reset(self) -> None:
        self._chunks = []  # not cleared: a plan that tries something out keeps a shallow copy


class RealTimeChunking(Replace):
    """Only the newest chunk is followed, made to agree with the previous one where that will have been executed."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._before: tuple[int, np.ndarray] | None = None

    def committed(self, stamp_ns: int, delay_s: float) -> Committed | None:
        if self._before is None:
            return None
        horizon = len(self._before[1])
        rows = _rows_of(self._before, stamp_ns, horizon, self._step_s)
        if not len(rows):
            return None
        actions = _between(self._before[1], np.concatenate([rows, np.full(horizon - len(rows), horizon - 1.0)]))
        return Committed(actions, guidance_weights(horizon, len(rows), int(np.ceil(delay_s / self._step_s - 1e-6))))

    def targets(self, stamp_ns: int, chunk: np.ndarray, takes_over_ns: int) -> np.ndarray:
        self._before = (stamp_ns, chunk)
        return chunk

    def reset(self) -> None:
        self._before = None


STRATEGIES = {"replace": lambda _: Replace(), "blend": Blend, "ensemble": Ensemble, "rtc": RealTimeChunking}


def make_overlap(strategy: str, step_s: float) -> Overlap:
    """The strategy of that name, for chunks with a target every `step_s` [s].

    Raises:
        DialError: there is none of that name.
    """
    if strategy not in STRATEGIES:
        raise DialError(f"strategy '{strategy}' for overlapping chunks is not known; choose one of {', '.join(get_args(Strategy))}")
    return STRATEGIES[strategy](step_s)


def guidance_weights(horizon: int, reached: int, delay_steps: int) -> np.ndarray:
    """How much each row of a chunk must agree with the one before (H,): 1 until it takes over, then falling to 0.

    Args:
        reached: rows that the one before reaches.
        delay_steps: rows that will have been executed when the new chunk takes over.

    Source: Black et al. 2025, Eq. 5: c (e^c - 1) / (e - 1), c falling linearly.
    """
    row = np.arange(horizon)
    fall = np.clip((reached - row) / (reached - min(delay_steps, reached) + 1), 0.0, 1.0)
    return np.where(row < min(delay_steps, reached), 1.0, fall * np.expm1(fall) / np.expm1(1.0))


def _rows_of(earlier: tuple[int, np.ndarray], stamp_ns: int, count: int, step_s: float) -> np.ndarray:
    """The moments of a chunk of `count` rows, stamped `stamp_ns`, as fractional rows of an earlier one, as far as that reaches."""
    rows = np.arange(count) + (stamp_ns - earlier[0]) / NANOSECONDS / step_s
    return rows[rows <= len(earlier[1]) - 1 + 1e-6]


def _between(chunk: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Actions (K, A) at fractional `rows` (K,) of `chunk` (H, A), linear."""
    before = np.minimum(rows.astype(int), len(chunk) - 1)
    after = np.minimum(before + 1, len(chunk) - 1)
    share = np.clip(rows - before, 0.0, 1.0)[:, None]
    return (1 - share) * chunk[before] + share * chunk[after]
