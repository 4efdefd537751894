"""The smoothness benchmark: the robot's timing without ROS, jerk as a ratio to plain replacing."""

import json

import numpy as np
import pytest

from dial_core.control.joint_limits import Guard
from dial_core.evaluation.reports.smoothness_report import smoothness_summary, write_smoothness
from dial_core.evaluation.studies.smoothness import (
    PLAIN,
    POSITION_BOUND_RAD,
    VELOCITY_BOUND_RAD_S,
    LatePolicy,
    PlainReplacing,
    Planned,
    SmoothnessResult,
)
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")
MS = 1_000_000


class Still:
    """Stands for world and sessions: the robot rests at home, every chunk asks for a little more than the one before."""

    embodiment, instruction, contract = GR1, "pick the can", type("Contract", (), {"camera": "ego"})

    def __init__(self):
        self.asked = []

    def render(self, camera):
        return np.zeros((96, 96, 3), np.uint8)

    def joint_positions(self):
        return GR1.home_position.copy()

    def foresight(self, image, instruction):
        return np.full((2, 2), len(self.asked), np.float32)

    def chunk(self, image, foresight, state, committed):
        self.asked.append((float(foresight[0, 0]), committed is not None))
        joints = GR1.home_position + 0.02 * len(self.asked)
        return np.concatenate([np.zeros((16, 18)), np.tile(joints, (16, 1))], 1).astype(np.float32)


def play(follower, seconds=2.0, latency_s=0.1):
    still = Still()
    policy, commands = LatePolicy(still, still, still, follower, latency_s), []
    for k in range(round(seconds * 100)):
        policy.arrive(k * 10 * MS)
        if k % 5 == 0:
            policy.look(k // 5, k * 10 * MS)
        commanded = follower.sample((k + 1) * 10 * MS)
        commands.append(GR1.home_position if commanded is None else commanded[0])
    return still, policy, np.array(commands)


def planned(strategy):
    return Planned(GR1.joint_slice, 0.05, Guard.for_embodiment(GR1), strategy)


@pytest.mark.parametrize("strategy", ["replace", "blend", "ensemble", "rtc"])
def test_planned_motion_has_no_step_at_a_splice_and_plain_replacing_has(strategy):
    _, policy, commands = play(planned(strategy))
    assert len(policy.gaps) > 8
    position, velocity = np.array(policy.gaps).max(axis=0)
    assert position <= POSITION_BOUND_RAD
    assert velocity <= VELOCITY_BOUND_RAD_S
    _, plain, jumping = play(PlainReplacing(GR1.joint_slice, 0.05))
    assert max(position for position, _ in plain.gaps) > 0.015
    jerk, jumps = (np.abs(np.diff(moved, n=3, axis=0)).mean() for moved in (commands, jumping))
    assert jerk < 0.5 * jumps


def test_nothing_arrives_before_its_latency_and_a_foresight_is_used_only_then():
    still, _, commands = play(planned("rtc"), latency_s=0.2)
    np.testing.assert_array_equal(commands[:20], np.tile(GR1.home_position, (20, 1)))
    assert still.asked[0] == (0.0, False)
    assert still.asked[2][1], "real-time chunking commits once a chunk runs"


def result(strategy, seed, success, jerk):
    return SmoothnessResult(strategy, seed, success, jerk, 0.0, 0.0, 1.0, 10, 5)


def test_jerk_is_told_as_a_ratio_to_plain_replacing_with_success_beside_it(tmp_path):
    results = [result(PLAIN, 1, False, 400.0), result(PLAIN, 2, True, 300.0), result("rtc", 1, True, 50.0), result("rtc", 2, True, 50.0)]
    summary = smoothness_summary(results)
    assert summary[PLAIN]["jerk_ratio"] == 1.0
    assert summary["rtc"]["jerk_ratio"] == pytest.approx(50 / np.sqrt((400**2 + 300**2) / 2))
    assert summary["rtc"]["jerk_ratio_to_replace"] is None
    text = write_smoothness(tmp_path, results, {"latency [s]": 0.1}, "`dial smoothness`, today, here.")
    assert "| rtc | 2 of 2 | 34% to 100% | 0.14 | - | 50 | 20 |" in text
    assert "| yes |" in text
    assert "`dial smoothness`, today, here. Settings: latency [s] 0.1." in text
    assert (tmp_path / "result.png").is_file()
    assert json.loads((tmp_path / "result.json").read_text())["strategies"]["plain"]["success"] == 1
