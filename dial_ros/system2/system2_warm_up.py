"""First pass of System-2: what it imports and allocates, a moving robot must not wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dial_ros.system2.foresight_image import ForesightImage

if TYPE_CHECKING:
    from dial_core.inference.system2_session import System2Session


def warm_up_system2(session: System2Session, draws: bool) -> None:
    """Computes the foresight of a black image and, if `draws`, its image: scikit-learn and matplotlib take a second to import.

    Raises:
        DialError: as `System2Session.look`, or the foresight cannot be drawn.
    """
    view = session.contract.views[0]
    tokens, view_tokens = session.look(np.zeros((view.height, view.width, 3), np.uint8), "warm up")
    if draws:
        ForesightImage().draw(tokens, view_tokens, "warm up")
