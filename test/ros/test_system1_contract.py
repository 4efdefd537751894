"""System-1 alone, its whole world played by the test: refused foresights, stale inputs, clock jumps, an orderly end."""

import signal
import time
import uuid

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import SetBool, Trigger

from dial_core.runtime.foresight_gate import Foresight
from dial_core.runtime.motion import NANOSECONDS
from dial_core.runtime.timeline import draw_timeline
from dial_core.runtime.tracing import read_trace
from dial_ros import qos
from dial_ros.messages import foresight_to_message, image_to_message, to_ns, to_time
from dial_ros.msg import Instruction, LatentForesight, System1Status

pytestmark = pytest.mark.ros

STEP_NS = 10_000_000
PATIENCE_S = 3.0


class PlayedWorld:
    """Clock, camera, joints, instruction and foresight, each of which can be switched off or spoilt."""

    def __init__(self, probe, model_id: str, shape: tuple[int, int], embodiment) -> None:
        self.probe, self.model_id, self.shape = probe, model_id, shape
        self.now_ns, self.steps, self.seq, self._advanced_s = 0, 0, 0, time.monotonic()
        self.on = {"camera", "joints", "foresight"}
        self.instruction_id = ""
        self._joints = JointState(name=list(embodiment.joint_names), position=embodiment.home_position.tolist())
        self._camera = embodiment.cameras[0]
        self._clock_out = probe.create_publisher(Clock, "/clock", qos.SENSOR)
        self._joints_out = probe.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._image_out = probe.create_publisher(Image, "image/ego", qos.SENSOR)
        self._foresight_out = probe.create_publisher(LatentForesight, "foresight", qos.LATEST)
        self._instruction_out = probe.create_publisher(Instruction, "instruction", qos.LATCHED)

    def step(self) -> None:
        """10 ms of the world in at least 10 ms of wall time; a System-1 that is slow on a busy machine is waited for."""
        if self._owes_a_chunk() and time.monotonic() - self._advanced_s < PATIENCE_S:
            self.probe.spin(0.01)
            return
        self._advanced_s = time.monotonic()
        self.now_ns += STEP_NS
        self.steps += 1
        self._clock_out.publish(Clock(clock=to_time(self.now_ns)))
        if "joints" in self.on:
            self._joints.header.stamp = to_time(self.now_ns)
            self._joints_out.publish(self._joints)
        if "camera" in self.on and self.steps % 5 == 0:
            pixels = np.zeros((self._camera.height, self._camera.width, 3), np.uint8)
            self._image_out.publish(image_to_message(pixels, self.now_ns, self._camera.frame))
        if "foresight" in self.on and self.instruction_id and self.steps % 25 == 0:
            self.send_foresight()
        # A spin ends with the first message: without the loop the world would run ahead of a System-1 that talks much.
        while time.monotonic() - self._advanced_s < STEP_NS / NANOSECONDS:
            self.probe.spin(0.01)

    def _owes_a_chunk(self) -> bool:
        running = self.probe.system1 is not None and self.probe.system1.state == System1Status.STATE_RUNNING
        if not running or len(self.on) < 3 or not self.probe.trajectories:
            return False
        since_ns = max(to_ns(self.probe.trajectories[-1].header.stamp), to_ns(self.probe.system1.last_change))
        return self.now_ns - since_ns > 400_000_000

    def send_foresight(self, tokens: np.ndarray | None = None, age_s: float = 0.1, **changes) -> None:
        self.seq += 1
        tokens = np.zeros(self.shape, np.float32) if tokens is None else tokens
        stamp_ns = max(self.now_ns - round(age_s * NANOSECONDS), 0)
        foresight = Foresight(tokens, tokens.shape, str(tokens.dtype), stamp_ns, self.seq, self.instruction_id, self.model_id)
        message = foresight_to_message(foresight, self.now_ns, "ego", 0.8)
        for field, value in changes.items():
            setattr(message, field, value)
        self._foresight_out.publish(message)

    def instruct(self) -> None:
        self.instruction_id = str(uuid.uuid4())
        self._instruction_out.publish(Instruction(stamp=to_time(self.now_ns), instruction_id=self.instruction_id, text="tidy up"))

    def until(self, condition, what: str, deadline_s: float = 20.0):
        return self.probe.until(condition, what, deadline_s, self.step)

    def until_state(self, state: int, what: str) -> None:
        self.until(lambda: self.probe.system1.state == state, what)

    def until_stopping(self) -> None:
        """Waits until the last trajectory is a stop, which is much shorter than a chunk, and ends at rest."""

        def stops() -> bool:
            end = self.probe.trajectories[-1].points[-1]
            return to_ns(end.time_from_start) < 500_000_000 and all(velocity == 0.0 for velocity in end.velocities)

        self.until(stops, "a decelerating trajectory", 5)

    def refusals(self) -> dict[str, int]:
        status = self.probe.system1
        return dict(zip(status.rejection_names, status.rejection_counts, strict=True))


@pytest.fixture(scope="module")
def trace_file(tmp_path_factory):
    return tmp_path_factory.mktemp("trace") / "system1.jsonl"


@pytest.fixture(scope="module")
def world(nodes, probe, checkpoint, trace_file):
    from dial_core.embodiment import load_embodiment
    from dial_core.runtime.contract import Contract

    contract = Contract.model_validate_json((checkpoint / "contract.json").read_text())
    # Faster than the default, so that a chunk is never owed for longer than the played world waits for one.
    settings = {"clock_timeout": 10.0, "chunk_rate_hz": 6.7, "trace_file": trace_file}
    nodes.start("system1", autostart=True, use_sim_time=True, checkpoint=checkpoint, **settings)
    played = PlayedWorld(probe, contract.model_id, contract.foresight_shape, load_embodiment("gr1"))
    played.until(lambda: probe.system1 is not None, "System-1 up", 180)
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
    assert running.probe.system1.state == System1Status.STATE_RUNNING


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
    running.probe.trajectories.clear()
    running.until(lambda: running.now_ns > NANOSECONDS, "a second")
    assert running.probe.trajectories == []
    running.instruct()
    running.until_state(System1Status.STATE_RUNNING, "armed again")


def test_a_joint_state_without_one_of_the_joints_is_named_and_holds(running, nodes):
    names, positions = list(running._joints.name), list(running._joints.position)
    running._joints.name, running._joints.position = names[1:], positions[1:]
    running.until_state(System1Status.STATE_HOLDING, "hold without whole joint states")
    assert f"joint state lacks {names[0]}" in nodes.log("system1")
    running._joints.name, running._joints.position = names, positions
    running.until_state(System1Status.STATE_RUNNING, "System-1 resumes")


def call(world, kind, name, request):
    """Response of a service of System-1, while the world goes on."""
    client = world.probe.create_client(kind, f"system1/{name}")
    world.until(client.service_is_ready, f"service {name}")
    future = client.call_async(request)
    world.until(future.done, f"answer of {name}")
    world.probe.destroy_client(client)
    return future.result()


def sends_nothing(world, seconds=0.6):
    """Whether no trajectory goes out for a while of the world's time."""
    count, start_ns = len(world.probe.trajectories), world.now_ns
    world.until(lambda: world.now_ns > start_ns + seconds * NANOSECONDS, f"{seconds} s")
    return len(world.probe.trajectories) == count


def test_a_pause_decelerates_and_its_end_goes_on_with_the_same_instruction(running):
    assert call(running, SetBool, "pause", SetBool.Request(data=True)).message == "paused: paused on request"
    running.until_state(System1Status.STATE_PAUSED, "paused")
    running.until_stopping()
    assert sends_nothing(running)
    assert call(running, SetBool, "pause", SetBool.Request(data=False)).success
    running.until_state(System1Status.STATE_RUNNING, "System-1 goes on")
    # It starts where the joints were measured, not where the old motion was.
    running.probe.trajectories.clear()
    running.until(lambda: running.probe.trajectories, "a chunk")


def test_an_emergency_stop_latches_until_its_reset_and_a_new_instruction(running):
    assert call(running, Trigger, "estop", Trigger.Request()).success
    running.until_state(System1Status.STATE_STOPPED, "stopped")
    assert running.probe.system1.reason == "emergency stop: requested over system1/estop"
    running.until_stopping()
    running.instruct()
    assert sends_nothing(running), "an instruction does not unlatch it"
    call(running, SetBool, "pause", SetBool.Request(data=False))
    assert running.probe.system1.state == System1Status.STATE_STOPPED
    assert call(running, Trigger, "reset_estop", Trigger.Request()).success
    running.until_state(System1Status.STATE_DISARMED, "disarmed")
    assert "emergency stop was reset; send a new instruction" in running.probe.system1.reason
    assert sends_nothing(running)
    assert not call(running, Trigger, "reset_estop", Trigger.Request()).success
    running.instruct()
    running.until_state(System1Status.STATE_RUNNING, "armed by a new instruction")


def test_the_status_tells_the_way_of_the_last_chunk_by_stage(running):
    status = running.probe.system1
    assert status.strategy == "ensemble"
    assert 0 <= status.transport_latency < 1
    assert 0 <= status.waiting_latency < 2
    assert 0 < status.inference_latency < 2
    assert 0 < status.stitching_latency < 1
    assert status.camera_to_command_latency <= status.reckoned_delay
    assert status.camera_rate == pytest.approx(20, rel=0.3)
    assert list(status.clamp_names) == ["position", "velocity", "acceleration", "jump"]
    assert sum(status.clamp_counts) == status.clamped_targets


def test_a_terminated_system1_leaves_the_robot_decelerating_and_ends_with_status_zero(running, nodes):
    count = len(running.probe.trajectories)
    assert nodes.end("system1", signal.SIGTERM) == 0
    running.until(lambda: len(running.probe.trajectories) > count, "a last trajectory", 5)
    running.until_stopping()
    running.until(lambda: running.probe.system1.state == System1Status.STATE_INACTIVE, "a last status", 5)
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
    assert sum(row.sent_ns <= row.takes_over_ns for row in sent) > 0.8 * len(sent), "sent before they take over"
    assert any("model_id" in row.text for row in rows if row.kind == "foresight")
    draw_timeline(rows, tmp_path / "trace.png", 0.0, 5.0)
