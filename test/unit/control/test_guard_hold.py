"""A hold of the guard, begun at any moment of any motion towards a position limit: no set-point at 1 kHz lies beyond that limit.

Cubics only: the guard refuses points with accelerations, and sends none, so that no controller behind it plays a quintic.
"""

import numpy as np
import pytest
from hypothesis import strategies as st

from dial_core.control.motion import JointMotion
from dial_core.control.trajectory_checks import POSITION_TOLERANCE_RAD, RATE_TOLERANCE, Tolerances

from ..mutations import both
from .guard_rig import GR1, LIMITS, MS, Rig, request_of

AT_1_KHZ = Tolerances(period_s=0.001, transport_s=0.03)
ROUNDING_RAD = 1e-5


def towards_limits(columns, begin_ns, braking, speed, beyond_rad, upwards):
    """From rest to rest at the position limits, or `beyond_rad` beyond: constant acceleration, then deceleration.

    `braking`, `speed`: shares of the limits of acceleration and velocity that are used.
    """
    limits = LIMITS.of(columns)
    acceleration = braking * limits.acceleration
    half_s = speed * (limits.velocity / acceleration).min()
    ends = np.where(upwards, limits.upper + beyond_rad, limits.lower - beyond_rad)
    signs, times_s = np.where(upwards, 1.0, -1.0), 0.1 + np.array([0.0, half_s, 2 * half_s])
    distance = acceleration * half_s**2
    positions = np.stack([ends - signs * distance, ends - signs * distance / 2, ends])
    velocities = np.outer([0.0, half_s, 0.0], signs * acceleration)
    return JointMotion(begin_ns - 100 * MS, times_s, positions, velocities)


def _stays_inside(controller, braking, speed, beyond_rad, upwards, stopped_at, phase_ms, transport_ms):
    controller = GR1.controllers[controller]
    columns = GR1.indices(controller.joints)
    signs = np.array([bool(upwards >> j & 1) for j in range(len(columns))])
    home = GR1.home_position.copy()
    home[columns] = towards_limits(columns, 0, braking, speed, beyond_rad, signs).positions[0]
    rig = Rig(home, AT_1_KHZ)
    motion = towards_limits(columns, rig.now_ns + 100 * MS, braking, speed, beyond_rad, signs)
    assert rig.offer(controller.name, request_of(controller.name, motion))
    rig.run(0.1 + stopped_at * (motion.times_s[-1] - motion.times_s[0]) + phase_ms / 1000)
    rig.stop(transport_ms * MS)
    rig.run(0.5)
    allowed_rad = ROUNDING_RAD + (0 if braking <= 1 and beyond_rad <= 0 else POSITION_TOLERANCE_RAD)
    assert rig.outside_rad <= allowed_rad
    assert rig.worst <= max(1.0, braking) * (1 + RATE_TOLERANCE) + 1e-3
    assert not np.diff(rig.set_points[-3:], axis=0).any()


test_a_hold_stays_inside_the_position_limits, test_a_hold_stays_inside_the_position_limits_nightly = both(
    _stays_inside,
    quick=40,
    controller=st.integers(0, len(GR1.controllers) - 1),
    braking=st.one_of(st.sampled_from([1.0, 1 + 0.99 * RATE_TOLERANCE]), st.floats(0.3, 1 + 0.99 * RATE_TOLERANCE)),
    speed=st.floats(0.2, 1.0),
    beyond_rad=st.one_of(st.just(0.0), st.floats(-0.02, 0.9 * POSITION_TOLERANCE_RAD)),
    upwards=st.integers(0, 127),
    stopped_at=st.floats(0.0, 1.0),
    phase_ms=st.integers(-70, 9),
    transport_ms=st.integers(0, 30),
)


@pytest.mark.parametrize(("controller", "phase_ms"), [(0, 55), (2, 0), (4, 85)])
def test_a_motion_that_brakes_as_hard_as_is_tolerated_is_stopped_before_the_limit_too(controller, phase_ms):
    _stays_inside(controller, 1 + 0.99 * RATE_TOLERANCE, 1.0, 0.0, 0, 0.0, phase_ms, 0)  # the hold begins as the braking does
