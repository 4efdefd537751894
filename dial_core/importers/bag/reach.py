"""How far from zero a joint can be: positions beyond it are of another unit, as a rule degrees."""

from __future__ import annotations

import numpy as np

from dial_core.importers.command_agreement import WIDE
from dial_core.observation.readings import UnreadableMessageError
from dial_core.robot.embodiment import Embodiment

FULL_TURN_RAD = 2 * np.pi


def reach_of(embodiment: Embodiment) -> np.ndarray:
    """How far each joint (J,) may be from zero [rad, or m if it slides]: a full turn, or its own limit.

    A joint whose range is less than 1 never gets near a full turn; of such a joint it is about six times the range.
    """
    turn = FULL_TURN_RAD * np.minimum(embodiment.upper - embodiment.lower, WIDE)
    return np.maximum(turn, np.maximum(np.abs(embodiment.lower), np.abs(embodiment.upper)))


def require_within_reach(positions: np.ndarray, embodiment: Embodiment) -> None:
    """Checks that no joint of measured `positions` (J,) is beyond its reach.

    Raises:
        UnreadableMessageError: one is; as a rule its unit is degrees.
    """
    reach = reach_of(embodiment)
    beyond = np.abs(positions) > reach
    if not beyond.any():
        return
    worst = int(np.argmax(beyond))
    name = embodiment.joint_names[worst]
    if reach[worst] < FULL_TURN_RAD:
        raise UnreadableMessageError(
            f"joint '{name}' is beyond six times its range; joint states are in radians or metres, are these others?"
        )
    raise UnreadableMessageError(f"joint '{name}' is beyond a full turn; joint states are in radians, are these degrees?")
