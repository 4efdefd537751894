"""Distance of a dataset from the statistics of a checkpoint, to look at before fine-tuning with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dial_core.datasets.normalisation import mean_and_spread
from dial_core.model.normalise import SPREAD_FLOOR, Normaliser

FAR_SPREADS = 3.0  # a mean so many of the checkpoint's spreads away is a motion it never learned
WIDE = 3.0  # a spread so many times the checkpoint's


@dataclass(frozen=True)
class Drift:
    """One dimension: distance of its mean from the checkpoint's in the checkpoint's spreads, and ratio of the spreads."""

    what: str
    name: str
    shift: float
    widening: float

    @property
    def far(self) -> bool:
        """Whether the checkpoint's statistics fit this dimension badly."""
        return abs(self.shift) > FAR_SPREADS or self.widening > WIDE


def drift_of(
    normaliser: Normaliser, states: np.ndarray | Sequence[np.ndarray], actions: np.ndarray | Sequence[np.ndarray], names: Sequence[str]
) -> list[Drift]:
    """Each normalised dimension of states and actions, (F, D) or several of these, the farthest first.

    6D rotations are not normalised and left out.
    """
    drifts = []
    for what, values, mean, std in (
        ("state", states, normaliser.state_mean, normaliser.state_std),
        ("action", actions, normaliser.action_mean, normaliser.action_std),
    ):
        centre, spread = mean_and_spread(*([values] if isinstance(values, np.ndarray) else values))
        shift = (centre - mean) / std
        widening = np.maximum(spread, SPREAD_FLOOR) / std
        drifts += [Drift(what, names[i], float(shift[i]), float(widening[i])) for i in np.flatnonzero(~normaliser.raw)]
    return sorted(drifts, key=lambda drift: -max(abs(drift.shift) / FAR_SPREADS, drift.widening / WIDE))
