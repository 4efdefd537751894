"""From a recording's rate to the control rate: which frame a step sees, and what its vectors are between two samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dial_core.robot.embodiment import EEF_DIM
from dial_core.robot.rotations import interpolate, rotation_from_6d, rotation_to_6d

_SLACK = 1e-6  # of a sample: 3 * 30 / 20 must not become 4.499999
_ROTATIONS, _JOINTS = (slice(3, 9), slice(12, 18)), slice(EEF_DIM, None)


@dataclass(frozen=True)
class Retiming:
    """T steps at the control rate, placed on the samples of a recording.

    Attributes:
        frames: int (T,), the newest sample that is not in the step's future: a robot never sees the future.
        before, after: int (T,), the samples around the step; `share` (T,) of the way from one to the other.
    """

    frames: np.ndarray
    before: np.ndarray
    after: np.ndarray
    share: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def linear(self, values: np.ndarray) -> np.ndarray:
        """(F, D) at the steps (T, D)."""
        share = self.share[:, None]
        return values[self.before] * (1 - share) + values[self.after] * share

    def rotations(self, values: np.ndarray) -> np.ndarray:
        """Rotation matrices (F, 3, 3) at the steps, on the shortest arc."""
        return interpolate(values[self.before], values[self.after], self.share)

    def vectors(self, values: np.ndarray) -> np.ndarray:
        """State or action vectors (F, D) in our layout at the steps: positions and joints linear, wrist rotations on the arc.

        A joint that is further than half a turn from one sample to the next keeps the earlier one: it passed from pi to -pi.
        """
        moved = self.linear(values)
        if values.shape[1] < EEF_DIM or not self.share.any():
            return moved
        for place in _ROTATIONS:
            moved[:, place] = rotation_to_6d(self.rotations(rotation_from_6d(values[:, place])))
        earlier, later = values[self.before, _JOINTS], values[self.after, _JOINTS]
        moved[:, _JOINTS] = np.where(np.abs(later - earlier) > np.pi, earlier, moved[:, _JOINTS])
        return moved


def retime(samples: int, rate_hz: float, wanted_hz: float, ahead_s: float = 0.0) -> Retiming:
    """Steps at `wanted_hz` over `samples` at `rate_hz`; the last step is not after the last sample.

    `ahead_s`: how much later [s] than its time a step looks, within the recording.
    """
    count = int(np.floor((samples - 1) * wanted_hz / rate_hz + _SLACK)) + 1
    place = np.clip(np.arange(count) * (rate_hz / wanted_hz) + ahead_s * rate_hz, 0, samples - 1)
    before = np.floor(place + _SLACK).astype(int)
    share = np.clip(place - before, 0.0, 1.0)
    share[share < _SLACK] = 0.0
    return Retiming(before, before, np.minimum(before + 1, samples - 1), share)
