"""Where a motion starts that a chunk is spliced into: where joints were commanded or are reported to stand, or where they were measured."""

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.control.motion import JointMotion

SERVO_RAD = 0.005  # so far beyond a limit a servo may leave a joint that was commanded to it
MOVED_RAD = 0.1  # a joint at rest that is measured further away was moved by somebody else


def start_of(
    commanded: JointMotion | None, stamp_ns: int, measured: np.ndarray, references: np.ndarray, fingers: np.ndarray | None = None
) -> JointMotion:
    """The motion to splice into: what was commanded, except that joints which rest elsewhere start where they were measured.

    Controllers interpolate from what they were commanded, not from what is measured: a few hundredths of a radian between the
    two are the servo's error, and starting from the measured joints would be a step. Where the controller reports its reference
    (`references` (J,) [rad]; NaN: it reports none), the joint is only blocked or pushed, however far: it starts there. So
    are `fingers` (J,) bool, which what they grasp blocks: they start where they were commanded, and keep their grip.
    """
    unreported = np.isnan(references)
    if commanded is None:
        return JointMotion.standing(stamp_ns, np.where(unreported, measured, references))
    if stamp_ns < commanded.end_ns:
        return commanded
    moved = (np.abs(measured - commanded.positions[-1]) > MOVED_RAD) & unreported
    if fingers is not None:
        moved &= ~fingers
    return commanded.relocated(moved, measured) if moved.any() else commanded


def without_servo_error(joints: np.ndarray, guard: Guard) -> np.ndarray:
    """Joints without the servos' error beyond a position limit: a set-point there would be outside too. NaN stays NaN."""
    inside = np.clip(joints, guard.lower, guard.upper)
    return np.where(np.abs(joints - inside) <= SERVO_RAD, inside, joints)
