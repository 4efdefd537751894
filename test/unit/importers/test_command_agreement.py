"""Whether joints went where their commands say, judged on the motions themselves.

pytest test/unit/importers/test_command_agreement.py
"""

import numpy as np
import pytest

from dial_core.bags.synthetic import CONTROLLER, ROBOT
from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.importers.bag.commanded import commanded
from dial_core.importers.bag.timeline import Command
from dial_core.importers.command_agreement import beside_rad, contradiction
from dial_core.importers.reach import require_within_reach
from dial_core.observation.readings import UnreadableMessageError

from .recordings import robot_with_limits

REACH = np.array([3.0])
LAGS = range(12)


def ramp(to: float, rows: int = 100) -> np.ndarray:
    """Set-points (T, 1) [rad] that rise to `to` over a fifth of the time and stay there."""
    return np.minimum(np.arange(rows) * 5.0 / rows, 1.0)[:, None] * to


def test_a_finger_that_an_object_stops_before_its_set_point_contradicts_nothing():
    wanted = ramp(1.0)
    pressed = np.minimum(wanted, 0.6)
    assert np.median(wanted - pressed) > 0.3
    assert contradiction(wanted, pressed, ["finger"], REACH, LAGS) == ""


@pytest.mark.parametrize("lag", [0, 3, 11])
def test_a_joint_beside_its_set_points_throughout_is_found_at_any_lag(lag):
    wanted = 0.5 * np.sin(np.arange(200) / 10)
    measured = np.roll(wanted, lag)[lag:] + 0.25
    assert beside_rad(wanted[lag:], measured, LAGS) == pytest.approx(0.25, abs=1e-9)


FINGER, OPEN_M = CONTROLLER.joints[0], 0.04
PLACE = ROBOT.joint_names.index(FINGER)


def contradicted(change, measured_m: np.ndarray) -> str:
    """How a finger that is measured at `measured_m` (T,) contradicts set-points `change(measured_m)` at 20 Hz."""
    robot, period_ns = robot_with_limits(FINGER, 0.0, OPEN_M), 50_000_000
    times_ns = np.arange(1, len(measured_m)) * period_ns
    joints = np.tile(robot.home_position, (len(measured_m), 1))
    joints[:, PLACE] = measured_m
    asked = joints[0, robot.indices(CONTROLLER.joints)]
    commands = []
    for step, wanted in enumerate(change(measured_m)[1:]):
        asked[0] = wanted
        request = TrajectoryRequest(CONTROLLER.joints, 0, (1,), (tuple(asked),), ((),))
        commands.append(Command(step * period_ns + 1000, CONTROLLER.name, request))
    return commanded(commands, times_ns, joints, robot).contradicted.get(CONTROLLER.name, "")


def opened_and_closed(steps: int = 200) -> np.ndarray:
    """A finger (T,) [m] that opens and closes over its range."""
    return OPEN_M / 2 * (1 - np.cos(np.arange(steps) / 10))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda finger: finger / OPEN_M, f"ask {FINGER} for 25 times its range; are they of another unit?"),
        (lambda finger: OPEN_M - finger, "its joints moved otherwise than its commands say"),
        (lambda finger: finger + 0.012, f"{FINGER} stays 30 % of its range beside its commands all the time"),
    ],
    ids=["another unit", "inverted", "another zero"],
)
def test_a_finger_that_slides_over_centimetres_must_follow_its_commands_too(change, why):
    assert why in contradicted(change, opened_and_closed())


@pytest.mark.parametrize(
    "measured",
    [opened_and_closed(), np.minimum(opened_and_closed(), 0.02), 0.03 + 0.0002 * np.sin(np.arange(200))],
    ids=["follows", "stopped by an object", "noise"],
)
def test_a_sliding_finger_that_follows_is_stopped_or_rests_contradicts_nothing(measured):
    wanted = measured if measured.min() > 0.02 else opened_and_closed()
    assert contradicted(lambda _: wanted, measured) == ""


def test_joint_states_of_a_sliding_finger_in_another_unit_are_unreadable():
    robot = robot_with_limits(FINGER, 0.0, OPEN_M)
    positions = robot.home_position.copy()
    positions[PLACE] = OPEN_M + 0.005  # a little beyond its limit, as encoders are
    require_within_reach(positions, robot)
    positions[PLACE] = 1.0
    with pytest.raises(UnreadableMessageError, match=f"'{FINGER}' is beyond six times its range"):
        require_within_reach(positions, robot)
