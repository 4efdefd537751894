"""Distance of a dataset from the statistics of a checkpoint, to look at before fine-tuning with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dial_core.datasets.normalisation import Rows, mean_and_spread
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


def drift_of(normaliser: Normaliser, states: Sequence[Rows], actions: Sequence[Rows], names: Sequence[str]) -> list[Drift]:
    """Each normalised dimension of the states and actions (F, D) of one or more datasets, the farthest first.

    What is not normalised is left out: 6D rotations, and the joints of a state that enters as sines and cosines. A spread of 0, which an
    imported release may have, counts as the floor.
    """
    drifts = []
    for what, values, mean, std in (
        ("state", states, normaliser.state_mean, normaliser.state_std),
        ("action", actions, normaliser.action_mean, normaliser.action_std),
    ):
        centre, spread = mean_and_spread(*values)
        unit = np.where(std == 0, SPREAD_FLOOR, std)
        shift = (centre - mean) / unit
        widening = np.maximum(spread, SPREAD_FLOOR) / unit
        counted = ~normaliser.raw
        if what == "state" and normaliser.state_encoding == "sin_cos":
            counted = counted & (np.arange(len(counted)) < normaliser.joints)
        drifts += [Drift(what, names[i], float(shift[i]), float(widening[i])) for i in np.flatnonzero(counted)]
    return sorted(drifts, key=lambda drift: -max(abs(drift.shift) / FAR_SPREADS, drift.widening / WIDE))
