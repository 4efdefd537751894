"""First passes of a session: they allocate and, on CUDA, record graphs, which must not happen in front of a moving robot."""

from __future__ import annotations

import numpy as np

from dial_core.control.overlap import Committed
from dial_core.inference.policy_loop import ChunkSource


def warm_up_system1(session: ChunkSource, state: np.ndarray, committing: bool, base: np.ndarray | None = None) -> None:
    """Computes a chunk of black images and, if `committing`, one that agrees with committed actions, which takes another path.

    Args:
        state: (S,) of any pose of the robot, physical units.
        committing: strategy `rtc` is used.
        base: as in `System1Session.chunk`.

    Raises:
        DialError: as `System1Session.chunk`.
    """
    contract = session.contract
    images = tuple(np.zeros((view.height, view.width, 3), np.uint8) for view in contract.views)
    foresight = np.zeros(contract.foresight_shape, np.float32)
    chunk = session.chunk(images, foresight, state, None, base)
    if committing:
        session.chunk(images, foresight, state, Committed(np.nan_to_num(chunk), np.zeros(len(chunk))), base)
