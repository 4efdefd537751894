"""System-1 alone, its whole world played by the test: refused foresights, stale inputs, clock jumps, requests, an orderly end."""

import signal

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy
from std_srvs.srv import SetBool, Trigger

from dial_core.checkpoint.contract import Contract
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.control.trace_plot import draw_timeline
from dial_core.control.tracing import read_trace
from dial_core.robot.embodiment import load_embodiment
from dial_ros.msg import Instruction, System1Status
from dial_ros.node import qos

from .conftest import START_S
from .played_world import PlayedWorld

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def trace_file(tmp_path_factory):
    return tmp_path_factory.mktemp("trace") / "system1.jsonl"


@pytest.fixture(scope="module")
def world(nodes, probe, checkpoint, trace_file):
    contract = Contract.model_validate_json((checkpoint / "contract.json").read_text())
    # Faster than the default, so that a chunk is never owed for longer than the played world waits for one.
    settings = {"clock_timeout": 10.0, "max_divergence": 10.0, "chunk_rate_hz": 6.7, "trace_file": trace_file}
    nodes.start("system1", autostart=True, use_sim_time=True, checkpoint=checkpoint, **settings)
    played = PlayedWorld(probe, contract.model_id, contract.foresight_shape, load_embodiment("gr1"))
    played.until(lambda: probe.system1 is not None, "System-1 up", START_S)
    return played


@pytest.fixture
def running(world):
    """System-1 publishing chunks for a fresh instruction, all inputs good."""
    world.on = {"camera", "joints", "foresight"}
    world.instruct()
    current = world.instruction_id
    world.until(lambda: world.probe.system1.instruction_id == current, "the instruction arrives")
    world.until_state(System1Status.STATE_RUNNING, "System-1 runs")
    before = len(world.probe.trajectories)
    world.until(lambda: len(world.probe.trajectories) > before + 1, "chunks")
    return world


def with_nan(shape):
    tokens = np.zeros(shape, np.float32)
    tokens[1, 1] = np.nan
    return tokens


BREACHES = {
    "model_id": lambda w: w.send_foresight(model_id="another"),
    "shape": lambda w: w.send_foresight(np.zeros((w.shape[0], w.shape[1] + 1), np.float32)),
    "dtype": lambda w: w.send_foresight(np.zeros(w.shape, np.float16)),
    "finite": lambda w: w.send_foresight(with_nan(w.shape)),
    "instruction_id": lambda w: w.send_foresight(instruction_id="another"),
    "future": lambda w: w.send_foresight(age_s=-2.0),
    "stale": lambda w: w.send_foresight(age_s=2.0),
}


def test_an_instruction_from_before_never_arms_a_node_that_is_activated_again(running):
    # First of all: the trace begins again with each activation.
    running.call(Trigger, "estop", Trigger.Request())
    running.call(Trigger, "reset_estop", Trigger.Request())
    for wanted in ("inactive", "active"):
        running.change_state(wanted)
    running.until_state(System1Status.STATE_DISARMED, "disarmed")
    assert running.gets_nothing(), "the same latched instruction arrived again"
    running.instruct()
    running.until_state(System1Status.STATE_RUNNING, "a new one arms")
    for wanted in ("inactive", "active"):
        running.change_state(wanted)
    running.until_state(System1Status.STATE_DISARMED, "disarmed")
    assert running.gets_nothing()


def test_no_clock_decides_whether_an_instruction_is_from_before_because_only_live_ones_arrive(world):
    """Compared with its publisher's time of day, an hour-old latched instruction of a machine that is ahead armed on activation."""
    ends = [end for end in world.probe.get_subscriptions_info_by_topic("/instruction") if end.node_name == "system1"]
    assert [end.qos_profile.durability for end in ends] == [DurabilityPolicy.VOLATILE]


def test_a_latched_topic_gives_a_volatile_subscription_nothing_from_before(probe):
    received, out = [], probe.create_publisher(Instruction, "history", qos.LATCHED)
    out.publish(Instruction(text="before"))
    probe.create_subscription(Instruction, "history", lambda message: received.append(message.text), qos.LATEST)
    probe.until(lambda: out.get_subscription_count() == 1, "a match")
    out.publish(Instruction(text="after"))
    probe.until(lambda: received, "an instruction")
    assert received == ["after"]


@pytest.mark.parametrize("reason", BREACHES)
def test_a_foresight_that_breaks_the_contract_is_refused_by_name(running, reason):
    if reason == "stale":
        running.until(lambda: running.now_ns > 3 * NANOSECONDS, "three seconds of clock")
    before, bad = running.refusals(), []

    def refused() -> bool:
        # `foresight` keeps the last message only: on a busy machine a good one may replace the bad one, so it is sent again.
        if running.steps % 25 == 12:
            BREACHES[reason](running)
            bad.append(running.seq)
        return running.refusals()[reason] > before[reason]

    running.until(refused, f"a refusal named {reason}")
    assert {k: v for k, v in running.refusals().items() if k != reason} == {k: v for k, v in before.items() if k != reason}
    assert running.probe.system1.foresight_seq not in bad
    running.until_state(System1Status.STATE_RUNNING, "System-1 to resume")


@pytest.mark.parametrize(("stream", "name"), [("camera", "camera"), ("joints", "joint_states"), ("foresight", "foresight")])
def test_a_stale_input_leads_to_one_decelerating_hold_and_comes_back_by_itself(running, stream, name):
    running.on.discard(stream)
    running.until_state(System1Status.STATE_HOLDING, f"hold without {stream}")
    assert name in running.probe.system1.reason
    running.until_stopping()
    count, start_ns = len(running.probe.trajectories), running.now_ns
    running.until(lambda: running.now_ns > start_ns + 500_000_000, "half a second")
    assert len(running.probe.trajectories) == count, "the hold is sent once"
    running.on.add(stream)
    running.until_state(System1Status.STATE_RUNNING, "System-1 resumes")


def test_only_foresight_of_the_current_instruction_moves_the_robot(running):
    old, before = running.instruction_id, running.refusals()["instruction_id"]
    running.on.discard("foresight")
    running.instruct()
    running.until_state(System1Status.STATE_WAITING, "waiting for the first foresight")
    assert "foresight" in running.probe.system1.reason
    running.until_stopping()
    count, states = len(running.probe.trajectories), set()

    def refused_often() -> bool:
        if running.steps % 25 == 12:
            running.send_foresight(instruction_id=old)
        states.add(running.probe.system1.state)
        return running.refusals()["instruction_id"] > before + 2

    running.until(refused_often, "refusals of foresight of the old instruction")
    assert states == {System1Status.STATE_WAITING}
    assert len(running.probe.trajectories) == count


def test_a_clock_jump_back_disarms_until_a_new_instruction(running):
    running.now_ns = 0
    running.until_state(System1Status.STATE_DISARMED, "disarmed")
    assert to_ns(running.probe.system1.last_change) < NANOSECONDS, "of the time that began"
    running.probe.trajectories.clear()
    running.until(lambda: running.now_ns > NANOSECONDS, "a second")
    assert running.probe.trajectories == []
    running.instruct()
    running.until_state(System1Status.STATE_RUNNING, "armed again")


@pytest.mark.parametrize("step_s", [10.0, 3600.0, -2.0])
def test_a_step_of_system1s_clock_disarms_and_no_trajectory_is_stamped_ahead_of_the_robot(running, step_s):
    running.until(lambda: running.now_ns > 3 * NANOSECONDS, "room to step back")
    running.probe.trajectories.clear()
    running.clock_ahead_s = step_s
    try:
        running.until_state(System1Status.STATE_DISARMED, "disarmed")
        assert "System-1's clock stepped" in running.probe.system1.reason
        running.until_stopping()
        running.until(lambda: abs(running.probe.system1.clock_offset - step_s) < 0.2, "the offset in the status")
        running.probe.trajectories.clear()
        assert running.call(Trigger, "estop", Trigger.Request()).success
        running.until(lambda: running.probe.trajectories, "the emergency stop reaches the controllers")
        for trajectory in running.probe.trajectories:
            first_ns = to_ns(trajectory.header.stamp) + to_ns(trajectory.points[0].time_from_start)
            assert first_ns <= running.now_ns
            assert to_ns(trajectory.points[-1].time_from_start) > 0
        running.call(Trigger, "reset_estop", Trigger.Request())
        running.instruct()
        running.until_state(System1Status.STATE_WAITING, "an instruction cannot move the robot by a clock that is wrong")
    finally:
        running.clock_ahead_s = 0.0
    running.until_state(System1Status.STATE_DISARMED, "the step back disarms too")


def test_a_joint_state_without_one_of_the_joints_is_named_and_holds(running, nodes):
    names, positions = list(running.joints.name), list(running.joints.position)
    running.joints.name, running.joints.position = names[1:], positions[1:]
    running.until_state(System1Status.STATE_HOLDING, "hold without whole joint states")
    assert f"joint_states lack left_arm_controller ({names[0]})" in nodes.log("system1")
    running.joints.name, running.joints.position = names, positions
    running.until_state(System1Status.STATE_RUNNING, "System-1 resumes")


def test_a_pause_decelerates_and_its_end_continues_with_the_same_instruction(running):
    assert running.call(SetBool, "pause", SetBool.Request(data=True)).message == "paused: paused on request"
    running.until_state(System1Status.STATE_PAUSED, "paused")
    running.until_stopping()
    assert running.gets_nothing()
    assert running.call(SetBool, "pause", SetBool.Request(data=False)).success
    running.until_state(System1Status.STATE_RUNNING, "System-1 to resume")
    # It starts where the joints were measured, not where the old motion was.
    running.probe.trajectories.clear()
    running.until(lambda: running.probe.trajectories, "a chunk")


def test_an_emergency_stop_latches_until_its_reset_and_a_new_instruction(running):
    assert running.call(Trigger, "estop", Trigger.Request()).success
    running.until_state(System1Status.STATE_STOPPED, "stopped")
    assert running.probe.system1.reason == "emergency stop: requested over system1/estop"
    running.until_stopping()
    running.instruct()
    assert running.gets_nothing(), "an instruction does not unlatch it"
    running.call(SetBool, "pause", SetBool.Request(data=False))
    assert running.probe.system1.state == System1Status.STATE_STOPPED
    assert running.call(Trigger, "reset_estop", Trigger.Request()).success
    running.until_state(System1Status.STATE_DISARMED, "disarmed")
    assert "emergency stop was reset; send a new instruction" in running.probe.system1.reason
    assert running.gets_nothing()
    assert not running.call(Trigger, "reset_estop", Trigger.Request()).success
    running.instruct()
    running.until_state(System1Status.STATE_RUNNING, "armed by a new instruction")


def test_the_status_reports_the_latency_of_the_last_chunk_by_stage(running):
    status = running.probe.system1
    assert status.strategy == "ensemble"
    stages = (status.transport_latency, status.waiting_latency, status.inference_latency, status.stitching_latency)
    assert min(stages) >= 0
    assert status.inference_latency > 0
    assert status.transport_latency + status.waiting_latency <= status.camera_to_command_latency + 1e-4
    assert status.camera_to_command_latency <= status.estimated_delay
    assert status.camera_rate > 0
    assert list(status.clamp_names) == ["position", "velocity", "acceleration", "jump"]
    assert sum(status.clamp_counts) == status.clamped_targets


def test_a_terminated_system1_leaves_the_robot_decelerating_and_ends_with_status_zero(running, nodes):
    count = len(running.probe.trajectories)
    assert nodes.end("system1", signal.SIGTERM) == 0
    running.until(lambda: len(running.probe.trajectories) > count, "a last trajectory")
    running.until_stopping()
    running.until(lambda: running.probe.system1.state == System1Status.STATE_INACTIVE, "a last status")
    assert "Traceback" not in nodes.log("system1")


def test_the_trace_has_every_chunk_and_every_change_of_state_and_can_be_drawn(world, trace_file, tmp_path):
    rows = read_trace(trace_file)
    states = [row.text for row in rows if row.kind == "state"]
    assert "running" in states
    assert any(text.startswith("holding: camera") for text in states)
    assert any(text.startswith("stopped: emergency stop") for text in states)
    assert states[-1] == "inactive: not active"
    sent = [row for row in rows if row.kind == "chunk" and row.sent_ns]
    assert len(sent) > 20
    assert all(row.exposed_ns <= row.received_ns <= row.started_ns <= row.inferred_ns <= row.sent_ns for row in sent)
    assert any(row.sent_ns <= row.takes_over_ns for row in sent), "sent before they take over"
    assert any("model_id" in row.text for row in rows if row.kind == "foresight")
    draw_timeline(rows, tmp_path / "trace.png", 0.0, 5.0)
