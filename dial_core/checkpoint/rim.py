"""Between a robot's vectors and a model's: layout, statistics and padding, applied in one place for sessions.

Training converts a dataset's vectors with the same `LayoutConverter` and `Normaliser` (`datasets/layout_rows.py`, `training/streams.py`).
"""

from __future__ import annotations

import numpy as np

from dial_core.checkpoint.contract import Contract
from dial_core.model.configuration import Architecture
from dial_core.model.normalise import Normaliser
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import OURS, LayoutConverter


class VectorRim:
    """Encodes states and actions of our layout (m, rad) for a model, and decodes what it answers.

    In this order: the layout's order, frame and units, the statistics (`Normaliser`), zeros up to the model's width.
    """

    def __init__(self, contract: Contract, normaliser: Normaliser, arch: Architecture) -> None:
        """Raises DialError if the contract's layout does not fit its embodiment."""
        self._normaliser = normaliser
        self._state_width, self._action_width = arch.state_dim, arch.action_dim
        other = contract.layout != OURS
        self._converter = LayoutConverter(contract.layout, load_embodiment(contract.embodiment)) if other else None

    def encode_state(self, states: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """States (..., S) as the model reads them, (..., model width). `base`: see `LayoutConverter.from_ours`."""
        return _padded(self._normaliser.encode_state(self._from_ours(states, base)), self._state_width)

    def encode_action(self, actions: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """Actions (..., A) as the model writes them, without padding: only these dimensions mean anything."""
        return self._normaliser.encode_action(self._from_ours(actions, base))

    def decode_action(self, actions: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
        """Actions (..., model width) of the model in our layout, (..., A) [m, rad]."""
        physical = self._normaliser.decode_action(actions[..., : self._normaliser.action_dim])
        return physical if self._converter is None else self._converter.to_ours(physical, base)

    def _from_ours(self, vectors: np.ndarray, base: np.ndarray | None) -> np.ndarray:
        return vectors if self._converter is None else self._converter.from_ours(vectors, base)


def _padded(vectors: np.ndarray, width: int) -> np.ndarray:
    missing = width - vectors.shape[-1]
    return vectors if missing == 0 else np.concatenate([vectors, np.zeros((*vectors.shape[:-1], missing), vectors.dtype)], -1)
