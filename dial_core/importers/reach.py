"""How far from zero a joint can be: positions beyond it are of another unit, as a rule degrees."""

from __future__ import annotations

import numpy as np

from dial_core.importers.command_agreement import WIDE
from dial_core.observation.readings import UnreadableMessageError
from dial_core.robot.embodiment import Embodiment

FULL_TURN_RAD = 2 * np.pi
SLACK = 0.1  # of a joint's range: it may be recorded so far beyond its limits


def reach_of(embodiment: Embodiment) -> np.ndarray:
    """How far each joint (J,) may be from zero [rad, or m if it slides]: a full turn, or its own limit.

    A joint whose range is less than 1 never gets near a full turn; of such a joint it is about six times the range.
    """
    turn = FULL_TURN_RAD * np.minimum(embodiment.upper - embodiment.lower, WIDE)
    return np.maximum(turn, np.maximum(np.abs(embodiment.lower), np.abs(embodiment.upper)))


def beyond_reach(positions: np.ndarray, embodiment: Embodiment) -> tuple[int, str] | None:
    """Which joint of `positions` (..., J) is farthest beyond its reach, and beyond what that is; None if none is."""
    reach = reach_of(embodiment)
    share = np.abs(positions).reshape(-1, len(reach)).max(0, initial=0.0) / reach
    worst = int(share.argmax())
    if not share[worst] > 1.0:
        return None
    return worst, "six times its range" if reach[worst] < FULL_TURN_RAD else "a full turn"


def require_within_reach(positions: np.ndarray, embodiment: Embodiment) -> None:
    """Checks that no joint of measured `positions` (J,) is beyond its reach.

    Raises:
        UnreadableMessageError: one is; as a rule its unit is degrees.
    """
    if (found := beyond_reach(positions, embodiment)) is None:
        return
    name, beyond = embodiment.joint_names[found[0]], found[1]
    asked = "radians, are these degrees?" if reach_of(embodiment)[found[0]] >= FULL_TURN_RAD else "radians or metres, are these others?"
    raise UnreadableMessageError(f"joint '{name}' is beyond {beyond}; joint states are in {asked}")


def units_that_fit(positions: np.ndarray, lower: float, upper: float) -> list[str]:
    """The units by which `positions` (T,) of a joint lie within its limits [rad, or m if it slides], with their scale and offset.

    At most two: those by which it moves over most of its range.
    """
    span, (least, most) = upper - lower, (float(positions.min()), float(positions.max()))
    found = []
    for unit, scale, offset, ends in (
        ("degrees", np.pi / 180, 0.0, (-np.inf, np.inf)),
        ("millimetres", 0.001, 0.0, (-np.inf, np.inf if span < WIDE else -np.inf)),
        ("LeRobot's normalised -100 to 100", span / 200, (lower + upper) / 2, (-100.0, 100.0)),
        ("normalised 0 to 100", span / 100, lower, (0.0, 100.0)),
        ("normalised 0 to 1", span, lower, (0.0, 1.0)),
    ):
        within = ends[0] <= least and most <= ends[1]
        if within and lower - SLACK * span <= scale * least + offset and scale * most + offset <= upper + SLACK * span:
            found.append((scale, f"{unit} (scale: {scale:.6g}" + (f", offset: {offset:.4g})" if offset else ")")))
    return [words for _, words in sorted(found, reverse=True)[:2]]
