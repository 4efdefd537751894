"""The foresight as an image: what the robot expects to see, and where that differs from the current view (paper, Fig. 12)."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dial_core.viz import PcaColours

PATCH_PX = 16


class ForesightImage:
    """Draws all foresights of one instruction in one colour basis, so that successive images can be compared."""

    def __init__(self) -> None:
        self._basis: PcaColours | None = None
        self._instruction_id = ""

    def draw(self, foresight_ND: np.ndarray, view_ND: np.ndarray, instruction_id: str) -> np.ndarray:
        """Returns current view and foresight in PCA colours and the change map, side by side: (side, 3 side, 3) uint8.

        Args:
            foresight_ND, view_ND: tokens (N, d) of the foresight and of the current view, in one space.
            instruction_id: the basis is fitted again when it changes.
        """
        from dial_core.viz import PcaColours, change_map, heat  # imports scikit-learn and matplotlib: only when needed

        if self._basis is None or instruction_id != self._instruction_id:
            self._basis, self._instruction_id = PcaColours.fit([view_ND, foresight_ND]), instruction_id
        change = change_map(foresight_ND, view_ND)
        panels = [self._basis.colours(view_ND), self._basis.colours(foresight_ND), heat(change, full_scale=1.0)]
        return np.concatenate([np.kron(panel, np.ones((PATCH_PX, PATCH_PX, 1), np.uint8)) for panel in panels], axis=1)
