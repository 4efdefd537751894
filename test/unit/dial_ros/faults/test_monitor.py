"""The monitor: set-points of a slice become one record, its clock runs on between ticks, and a stop by the fault is left out."""

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from dial_core.robot.embodiment import load_embodiment
from dial_ros.faults.monitor import PERIOD_NS, TICK_NS, Monitor
from dial_ros.node.trajectory import set_points_to_message

EMBODIMENT = load_embodiment("gr1")
ARM = next(c for c in EMBODIMENT.controllers if c.name == "right_arm_controller")
AFTER_NS = range(PERIOD_NS, TICK_NS + 1, PERIOD_NS)


@pytest.fixture(scope="module")
def node():
    context = Context()
    rclpy.init(context=context, domain_id=99)
    made = Node("monitor_test", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def send(monitor: Monitor, positions: np.ndarray) -> None:
    """Hands over set-points (K, J), ten a message, as the robot publishes them."""
    for k in range(0, len(positions), len(AFTER_NS)):
        message = set_points_to_message(EMBODIMENT.joint_names, k * PERIOD_NS, AFTER_NS, positions[k : k + len(AFTER_NS)])
        monitor._on_set_points(message)


def moving_then_standing() -> np.ndarray:
    """The arm moves steadily for 20 ms and stops dead."""
    arm = EMBODIMENT.indices(ARM.joints)
    positions = np.tile(EMBODIMENT.home_position, (40, 1))
    positions[:, arm] += 0.001 * np.minimum(np.arange(40), 20)[:, None]
    return positions


def test_every_set_point_is_judged_and_rest_begins_with_the_last_that_moved(node):
    monitor = Monitor(node, EMBODIMENT)
    send(monitor, moving_then_standing())
    use = monitor.limit_use()
    assert use.set_points == 40
    assert use.acceleration == pytest.approx(0.001 / 0.001**2 / 25.0, rel=1e-6)
    assert monitor.rests_for_s() == pytest.approx(0.010)


def test_what_exceeds_a_limit_is_kept_with_joint_and_time(node, tmp_path):
    monitor = Monitor(node, EMBODIMENT)
    send(monitor, moving_then_standing())
    stop_s = 21 * PERIOD_NS * 1e-9
    told = monitor.keep_worst(tmp_path / "excesses" / "stop.npz")
    assert any(told.startswith(f"{joint} at {stop_s:.3f} s") for joint in ARM.joints)
    kept = np.load(tmp_path / "excesses" / "stop.npz")
    np.testing.assert_array_equal(kept["positions"], moving_then_standing())
    assert kept["stamps_ns"].tolist() == [PERIOD_NS * (k + 1) for k in range(40)]
    assert tuple(kept["joint_names"]) == EMBODIMENT.joint_names


def test_the_stop_that_the_fault_itself_causes_is_not_judged(node):
    monitor = Monitor(node, EMBODIMENT)
    send(monitor, moving_then_standing())
    monitor.exclude_stop(ARM.name, 0, 40 * PERIOD_NS)
    assert monitor.limit_use().acceleration < 1e-6
    monitor.begin()
    send(monitor, moving_then_standing())
    monitor.exclude_stop("left_arm_controller", 0, 40 * PERIOD_NS)
    assert monitor.limit_use().acceleration > 1


def test_the_clock_runs_on_between_two_ticks_but_not_beyond_the_next(node):
    monitor = Monitor(node, EMBODIMENT)
    send(monitor, moving_then_standing())
    monitor._received_s -= 10
    assert monitor.newest_ns + TICK_NS > monitor.now_ns > monitor.newest_ns
