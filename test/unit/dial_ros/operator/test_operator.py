"""The operator page without a browser: lights, words, and what is written down.

pytest test/unit/dial_ros/operator
"""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from dial_core.checkpoint.location import checkpoint_folder
from dial_ros.msg import System1Status, System2Status
from dial_ros.node.lifecycle import NOT_ACTIVE
from dial_ros.operator.actions import ActionLog, Answer
from dial_ros.operator.jog_keys import GRIP_PER_S, SPEED_M_PER_S, TURN_RAD_PER_S, JogKeys
from dial_ros.operator.lights import (
    age_lights,
    foresight_light,
    nothing_moves_because,
    replaced_instruction,
    system_lights,
    waterfall,
)
from dial_ros.operator.markup import rows, share_bars, timeline
from dial_ros.operator.robot_view import Seen
from dial_ros.operator.vocabulary import KnownWords

LIMITS_S = {"camera": 0.5, "joint states": 0.3, "foresight": 0.8}


def seen(**changes) -> Seen:
    status = System1Status(state=System1Status.STATE_RUNNING)
    for name, value in changes.items():
        setattr(status, name, value)
    received_s = dict.fromkeys(("system1", "system2"), time.monotonic())
    return Seen(system1=status, system2=System2Status(state=System2Status.STATE_RUNNING), received_s=received_s)


def test_a_running_robot_is_green_and_a_warning_is_not():
    assert [light.level for light in system_lights(seen())] == ["ok", "ok"]
    warned = system_lights(seen(warning="camera 0.3 s old"))[0]
    assert (warned.level, warned.text) == ("warn", "running: camera 0.3 s old")


def test_a_stopped_robot_says_why():
    light = system_lights(seen(state=System1Status.STATE_STOPPED, reason="emergency stop"))[0]
    assert (light.level, light.text) == ("bad", "stopped: emergency stop")


def test_a_node_that_stopped_reporting_is_red_whatever_it_reported_last():
    gone = seen()
    gone.received_s["system1"] -= 10
    assert [light.level for light in system_lights(gone)] == ["bad", "ok"]
    assert [light.level for light in system_lights(Seen())] == ["bad", "bad"]


def test_ages_are_judged_against_system_1s_own_limits():
    status = seen(camera_age=0.1, joint_states_age=0.2, foresight_age=0.9, chunk_age=-1.0).system1
    assert {light.name: light.level for light in age_lights(status, LIMITS_S)} == {
        "camera": "ok",
        "joint states": "warn",
        "foresight": "bad",
        "chunk": "off",
    }


@pytest.mark.parametrize(("age_s", "level"), [(0.1, "ok"), (0.39, "ok"), (0.5, "warn"), (0.79, "warn"), (0.9, "bad"), (30.0, "bad")])
def test_a_foresight_that_ages_turns_its_light_amber_then_red(age_s, level):
    status = seen(camera_age=0.1, joint_states_age=0.01, foresight_age=age_s, chunk_age=0.1).system1
    assert {light.name: light.level for light in age_lights(status, LIMITS_S)}["foresight"] == level


def test_a_report_that_is_late_makes_what_it_reports_older():
    status = seen(camera_age=0.1, joint_states_age=0.01, foresight_age=0.1, chunk_age=-1.0).system1
    assert [light.level for light in age_lights(status, LIMITS_S, 0.4)] == ["ok", "ok", "ok", "off"]
    late = age_lights(status, LIMITS_S, 1.4)
    assert [light.level for light in late] == ["bad", "bad", "bad", "off"]
    assert late[0].text == "1000 ms of 500"


def test_an_age_whose_limit_is_not_known_is_not_green():
    status = seen(camera_age=0.1, joint_states_age=0.01, foresight_age=30.0, chunk_age=0.1).system1
    lights = {light.name: light for light in age_lights(status, {"camera": 0.5})}
    assert (lights["camera"].level, lights["foresight"].level) == ("ok", "off")
    assert lights["foresight"].text == "30000 ms, limit not known"


def test_the_waterfall_adds_up_and_is_empty_before_the_first_chunk():
    stages = {"transport_latency": 0.01, "waiting_latency": 0.0, "inference_latency": 0.03, "stitching_latency": 0.005}
    stages |= {"splice_lead": 0.05, "trajectory_latency": 0.012, "foresight_age_of_chunk": 0.2, "camera_to_command_latency": 0.045}
    robot = seen(**stages)
    robot.system2.camera_to_foresight_latency = 0.04
    parts = waterfall(robot)
    assert [name for name, _, _ in parts] == ["System-2", "exposure to node", "waiting", "System-1", "splice", "controller", "lead"]
    assert parts[0][1:] == pytest.approx((-0.2, 0.04))
    assert parts[-1][1] + parts[-1][2] == pytest.approx(0.045 + 0.05)
    assert "30 ms" in timeline(parts)
    assert waterfall(seen(camera_to_command_latency=-1.0)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": System1Status.STATE_STOPPED}, "Reset stop"),
        ({"state": System1Status.STATE_PAUSED}, "Resume"),
        ({"state": System1Status.STATE_INACTIVE}, "System-1 is not active"),
        ({"state": System1Status.STATE_DISARMED, "warning": "an instruction would not move the robot: image refused"}, "image refused"),
        ({"state": System1Status.STATE_DISARMED}, None),
        ({"state": System1Status.STATE_RUNNING}, None),
    ],
)
def test_that_nothing_would_move_is_shown_before_an_instruction_is_sent(change, words):
    why = nothing_moves_because(seen(**change))
    assert (words in why) if words else why == ""


def test_a_change_of_instruction_in_mid_motion_is_known_as_one():
    robot = seen(instruction="put the can on the plate")
    assert replaced_instruction(robot, "put the cup on the plate") == "put the can on the plate"
    assert replaced_instruction(robot, "put the can on the plate") == ""
    robot.system1.state = System1Status.STATE_PAUSED
    assert replaced_instruction(robot, "put the cup on the plate") == ""


def test_a_paused_simulation_and_a_silent_system_2_are_reasons_too():
    robot = seen()
    robot.diagnostics["mujoco_robot"] = DiagnosticStatus(message="paused")
    assert nothing_moves_because(robot) == ""  # an old report
    robot.received_s["diagnostics/mujoco_robot"] = time.monotonic()
    assert "simulation is paused" in nothing_moves_because(robot)
    robot.received_s["system2"] -= 10
    assert "System-2 is not active" in nothing_moves_because(robot)


def guarded(message, level=DiagnosticStatus.ERROR, latched=False, **changes) -> Seen:
    """A robot whose guard reports this now."""
    robot = seen(**changes)
    values = [KeyValue(key="latched", value=str(latched))]
    robot.diagnostics["guard"] = DiagnosticStatus(level=level, message=message, values=values)
    robot.received_s["diagnostics/guard"] = time.monotonic()
    return robot


def test_a_guard_that_has_stopped_the_robot_is_red_and_a_reason():
    robot = guarded("stopped, check form: no point", latched=True)
    light = system_lights(robot)[-1]
    assert (light.name, light.level) == ("Guard", "bad")
    assert nothing_moves_because(robot).startswith("Nothing will move: the guard stopped, check form: no point. Call guard/reset")
    robot.received_s["diagnostics/guard"] -= 10
    assert [light.name for light in system_lights(robot)] == ["System-1", "System-2"]  # an old report
    passing = guarded("passing", DiagnosticStatus.OK)
    assert (system_lights(passing)[-1].level, nothing_moves_because(passing)) == ("ok", "")


def test_a_guard_whose_stop_ends_by_itself_is_no_reason_to_say_that_nothing_moves():
    """The page said so of every stop, and the next instruction moved the robot."""
    why = nothing_moves_because(guarded("stopped, check late: 3 ms", state=System1Status.STATE_DISARMED))
    assert why == "The robot may move: the guard stopped, check late: 3 ms; the next trajectory that passes its checks moves the robot"
    paused = nothing_moves_because(guarded("stopped, check late: 3 ms", state=System1Status.STATE_PAUSED))
    assert paused.startswith("Nothing will move until “Resume”")


def test_a_guard_that_is_not_active_lets_nothing_through():
    for message, level in ((NOT_ACTIVE, DiagnosticStatus.OK), (f"{NOT_ACTIVE}, and activation would fail", DiagnosticStatus.WARN)):
        assert "the guard is not active. Activate it" in nothing_moves_because(guarded(message, level))


def test_teleoperation_stands_in_the_place_of_both_systems():
    robot = seen()
    robot.diagnostics["teleoperation"] = DiagnosticStatus(message="stopped")
    robot.received_s["diagnostics/teleoperation"] = time.monotonic()
    assert [(light.name, light.level) for light in system_lights(robot)] == [("Teleoperation", "bad")]
    assert nothing_moves_because(robot) == ""


def test_teleoperation_that_has_ended_is_no_reason_to_keep_silent_about_what_moves_nothing():
    gone = Seen()
    gone.diagnostics["teleoperation"] = DiagnosticStatus(message="standing")
    gone.received_s["diagnostics/teleoperation"] = time.monotonic() - 10
    assert nothing_moves_because(gone).startswith("Nothing will move: System-2 is not active")


@pytest.mark.parametrize(
    ("keys", "velocity", "turn", "grip"),
    [
        (["w"], (SPEED_M_PER_S, 0.0, 0.0), 0.0, 0.0),
        (["W", "s"], (0.0, 0.0, 0.0), 0.0, 0.0),
        (["d", "r", "q"], (0.0, -SPEED_M_PER_S, SPEED_M_PER_S), TURN_RAD_PER_S, 0.0),
        (["o", "x", 5], (0.0, 0.0, 0.0), 0.0, -GRIP_PER_S),
    ],
)
def test_keys_are_velocities_opposite_ones_cancel_and_others_are_ignored(keys, velocity, turn, grip):
    motion = JogKeys.of(keys)
    assert (motion.velocity, motion.turn_rad_per_s, motion.grip_per_s) == (velocity, turn, grip)


@pytest.mark.parametrize(
    ("errors", "level"),
    [([], "off"), ([(0.02, 0.01)], "ok"), ([(0.2, 0.3)], "ok"), ([(0.3, 0.2)], "warn"), ([(0.5, 0.2)], "bad"), ([(0.09, 0.0)], "warn")],
)
def test_the_foresight_is_judged_against_expecting_no_change(errors, level):
    robot = seen()
    robot.errors.extend((time.monotonic(), *each) for each in errors)
    robot.errors.appendleft((time.monotonic() - 60, 9.0, 0.0))  # too old to count
    assert foresight_light(robot).level == level


def test_shares_of_limits_name_the_joint_that_uses_most():
    html = share_bars({"velocity": np.array([0.2, 0.95, 1.2])}, ["a", "b", "<c>"])
    assert "<c> 120 %" not in html
    assert "&lt;c&gt; 120 %" in html
    assert html.count("velocity limit") == 3
    assert share_bars({}, []) == "nothing commanded yet"


def test_what_a_node_says_is_no_markup():
    assert "<script>" not in rows(system_lights(seen(reason="<script>alert(1)</script>", state=System1Status.STATE_HOLDING)))


def test_words_that_the_checkpoint_does_not_know_are_named():
    words = KnownWords(str(checkpoint_folder("dial_tiny")))
    assert words.unknown("put the can on the plate") == []
    assert words.unknown("put the zorgle on the Plate, gently xyzzy!") == ["zorgle", "xyzzy"]
    assert KnownWords("").unknown("zorgle") == []


def test_every_action_is_written_down_with_time_and_who(tmp_path):
    log = ActionLog(tmp_path / "deep" / "actions.jsonl")
    log.note("10.0.0.7", "emergency stop", Answer(True, "stopped", 0.0421))
    log.note("10.0.0.8", "pause", Answer(False, "refused", 0.01))
    lines = [json.loads(line) for line in log.file.read_text().splitlines()]
    expected = [("10.0.0.7", "emergency stop", True), ("10.0.0.8", "pause", False)]
    assert [(line["who"], line["action"], line["granted"]) for line in lines] == expected
    assert lines[0]["seconds"] == 0.042
    assert lines[0]["time"].startswith("20")


def test_a_disk_that_takes_no_line_is_reported_and_ends_nothing(tmp_path):
    log = ActionLog(Path("/dev/full"))
    log.note("me", "emergency stop", Answer(True, "stopped", 0.01))
    assert log.failure == "/dev/full: No space left on device"
    (tmp_path / "in the way").touch()
    assert "in the way" in ActionLog(tmp_path / "in the way" / "actions.jsonl").failure


def test_a_line_that_was_cut_off_by_a_full_disk_does_not_spoil_the_next(tmp_path):
    log = ActionLog(tmp_path / "actions.jsonl")
    log.file.write_text('{"time": "20')
    log.note("me", "pause", Answer(True, "paused", 0.01))
    assert log.failure == ""
    cut, whole = log.file.read_text().splitlines()
    assert cut == '{"time": "20'
    assert json.loads(whole)["action"] == "pause"
