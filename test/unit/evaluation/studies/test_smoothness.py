"""The smoothness benchmark: the robot's timing without ROS, jerk as a ratio to plain replacing."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dial_core.control.joint_limits import Guard
from dial_core.evaluation.closed_loop.dial_policy import timing_of
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.reports.smoothness_report import smoothness_summary, write_smoothness
from dial_core.evaluation.studies import smoothness
from dial_core.evaluation.studies.smoothness import (
    PLAIN,
    POSITION_BOUND_RAD,
    VELOCITY_BOUND_RAD_S,
    SmoothnessJob,
    SmoothnessResult,
    figures_of,
    playing_of,
    protocol_of,
)
from dial_core.inference.policy_loop import PolicyLoop, gate_of
from dial_core.inference.simulated_loop import SimulatedLoop
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")


class RampingChunks:
    """Stands for System-1: every chunk asks for a little more than the one before."""

    contract = type("Contract", (), {"model_id": "model", "foresight_shape": (2, 2)})

    def __init__(self):
        self.calls = 0

    def chunk(self, images, foresight, state, committed, base=None):
        self.calls += 1
        joints = GR1.home_position + 0.02 * self.calls
        return np.concatenate([np.zeros((16, 18)), np.tile(joints, (16, 1))], 1).astype(np.float32)


def play(strategy, steps=40, latency_s=0.1):
    """Set-points (T, J) every 10 ms, and the gaps at splices."""
    job = SmoothnessJob(Path(), "PlacematToPlate", strategy, 100_000, latency_s)
    protocol = protocol_of(job, GR1)
    playing, watched = playing_of(job, protocol, GR1)
    loop = PolicyLoop(RampingChunks(), GR1, gate_of(RampingChunks.contract, np.inf), watched)
    simulated = SimulatedLoop(loop, playing, timing_of(protocol, GR1))
    simulated.begin(GR1.home_position)
    rows = []
    for _ in range(steps):
        foresight = np.zeros((2, 2)) if simulated.foresight_due else None
        rows.extend(simulated.step(foresight, lambda: (np.zeros((96, 96, 3), np.uint8),), GR1.home_position))
    return np.array(rows), watched.gaps


@pytest.mark.parametrize("strategy", ["replace", "blend", "ensemble", "rtc"])
def test_planned_motion_has_no_step_at_a_splice_and_plain_replacing_has(strategy):
    commands, gaps = play(strategy)
    assert len(gaps) > 8
    position, velocity = np.array(gaps).max(axis=0)
    assert position <= POSITION_BOUND_RAD
    assert velocity <= VELOCITY_BOUND_RAD_S
    plain, steps = play(PLAIN)
    assert max(position for position, _ in steps) > 0.015
    guard = Guard.for_embodiment(GR1)
    assert figures_of(commands, 0.01, guard)["jerk"] < 0.5 * figures_of(plain, 0.01, guard)["jerk"]


def test_nothing_moves_before_the_latency():
    commands, _ = play("ensemble", latency_s=0.2)
    np.testing.assert_array_equal(commands[:20], np.tile(GR1.home_position, (20, 1)))


def result(strategy, seed, success, jerk):
    return SmoothnessResult(strategy, seed, success, jerk, 0.0, 0.0, 1.0, 10, 5)


def test_jerk_is_reported_as_a_ratio_to_plain_replacement_with_success_beside_it(tmp_path):
    results = [result(PLAIN, 1, False, 400.0), result(PLAIN, 2, True, 300.0), result("rtc", 1, True, 50.0), result("rtc", 2, True, 50.0)]
    summary = smoothness_summary(results)
    assert summary[PLAIN]["jerk_ratio"] == 1.0
    assert summary["rtc"]["jerk_ratio"] == pytest.approx(50 / np.sqrt((400**2 + 300**2) / 2))
    assert summary["rtc"]["jerk_ratio_to_replace"] is None
    text = write_smoothness(tmp_path, results, {"latency [s]": 0.1}, "`dial smoothness`, today, here.", Protocol())
    assert "| rtc | 2 of 2 | 34% to 100% | 0.14 | - | 50 | 20 |" in text
    assert "| yes |" in text
    assert f"`dial smoothness`, today, here. Protocol hash {Protocol().hash}. Settings: latency [s] 0.1." in text
    assert (tmp_path / "result.png").is_file()
    assert json.loads((tmp_path / "result.json").read_text())["strategies"]["plain"]["success"] == 1


def test_episodes_are_rendered_at_the_size_that_the_checkpoint_sees(monkeypatch):
    view = SimpleNamespace(height=160, width=224)
    loaded = SimpleNamespace(contract=SimpleNamespace(views=(view,)))
    monkeypatch.setattr(smoothness, "_kept", {})
    monkeypatch.setattr(smoothness, "load_checkpoint", lambda folder: loaded)
    for name in ("System2Session", "System1Session"):
        monkeypatch.setattr(smoothness, name, lambda loaded: None)
    arena, _, _ = smoothness._sessions(SmoothnessJob(Path("checkpoint"), "PlacematToPlate", "blend", 100_000, 0.1))
    assert arena.world.image_size == 224
    arena.close()
