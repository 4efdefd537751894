"""Decides which foresights System-1 may use. Every refusal has a name and is counted."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dial_core.control.motion import NANOSECONDS


@dataclass(frozen=True)
class Foresight:
    """A foresight as it arrived.

    Fields:
        tokens: (N, d), in the model's own units; as many values as came, flat, if they do not fill the named shape.
        shape, dtype: as the sender names them.
        stamp_ns: time of the observation it was made from.
    """

    tokens: np.ndarray
    shape: tuple[int, ...]
    dtype: str
    stamp_ns: int
    seq: int
    instruction_id: str
    model_id: str


class Refusal(StrEnum):
    """Why a foresight is not used. `order`: it came twice, or after a newer one."""

    MODEL = "model_id"
    SHAPE = "shape"
    DTYPE = "dtype"
    VALUES = "finite"
    INSTRUCTION = "instruction_id"
    FUTURE = "future"
    STALE = "stale"
    ORDER = "order"


@dataclass(frozen=True)
class ForesightContract:
    """What a foresight must be. `future_tolerance_s` [s] allows for clocks that tick apart."""

    model_id: str
    shape: tuple[int, int]
    timeout_s: float
    dtype: str = "float32"
    future_tolerance_s: float = 0.05

    def refusal(self, foresight: Foresight, instruction_id: str, now_ns: int) -> tuple[Refusal, str] | None:
        """None if `foresight` may be used now for the instruction, else the reason and a sentence with the values."""
        age_s = (now_ns - foresight.stamp_ns) / NANOSECONDS
        if foresight.model_id != self.model_id:
            return Refusal.MODEL, f"made by model '{foresight.model_id}', System-1 runs '{self.model_id}'"
        if foresight.dtype != self.dtype:
            return Refusal.DTYPE, f"dtype '{foresight.dtype}', expected '{self.dtype}'"
        if foresight.shape != self.shape or foresight.tokens.shape != self.shape:
            return Refusal.SHAPE, f"shape {foresight.shape} with {foresight.tokens.size} values, expected {self.shape}"
        if not np.isfinite(foresight.tokens).all():
            return Refusal.VALUES, "values that are not finite"
        if foresight.instruction_id != instruction_id:
            return Refusal.INSTRUCTION, f"for instruction '{foresight.instruction_id}', current is '{instruction_id}'"
        if age_s < -self.future_tolerance_s:
            return Refusal.FUTURE, f"stamped {-age_s:.3f} s in the future"
        if age_s > self.timeout_s:
            return Refusal.STALE, f"{age_s:.3f} s old, limit {self.timeout_s:.3f} s"
        return None


class ForesightGate:
    """Holds the newest foresight that fulfils the contract; counts lost ones, and refused ones by reason."""

    def __init__(self, contract: ForesightContract) -> None:
        self.contract = contract
        self.newest: Foresight | None = None
        self.lost = 0
        self.refused: Counter[Refusal] = Counter()
        self.last_refusal = ""
        self._last_seq: int | None = None

    def age_s(self, now_ns: int) -> float | None:
        """Age of the newest foresight by its observation's stamp [s]; None if there is none."""
        return None if self.newest is None else (now_ns - self.newest.stamp_ns) / NANOSECONDS

    def offer(self, foresight: Foresight, instruction_id: str, now_ns: int) -> bool:
        """Accepts `foresight` if it may be used and returns True; otherwise counts the refusal and keeps the previous one."""
        refused = self.contract.refusal(foresight, instruction_id, now_ns) or self._out_of_order(foresight)
        if refused:
            reason, sentence = refused
            self.refused[reason] += 1
            self.last_refusal = f"{reason}: {sentence}"
            return False
        if self._last_seq is not None and foresight.seq > self._last_seq + 1:
            self.lost += foresight.seq - self._last_seq - 1
        self._last_seq = foresight.seq
        self.newest = foresight
        return True

    def _out_of_order(self, foresight: Foresight) -> tuple[Refusal, str] | None:
        """Judged by the observations' stamps: sequence numbers start again when System-2 is restarted."""
        if self.newest is None or foresight.stamp_ns > self.newest.stamp_ns:
            return None
        behind_s = (self.newest.stamp_ns - foresight.stamp_ns) / NANOSECONDS
        return Refusal.ORDER, f"seq {foresight.seq} comes again or late: its observation lies {behind_s:.3f} s before the one in use"

    def clear(self) -> None:
        """Drops the foresight (new instruction, clock step); the counters stay."""
        self.newest = None
        self._last_seq = None
