"""The recorder with real processes: bags hold the very bytes of the wire, survive a kill, and are never overwritten.

pytest test/ros/test_recorder.py
"""

import shutil
import signal
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair
from dial_ros.msg import Instruction
from dial_ros.node import qos
from dial_ros.node.messages import image_to_message, to_time
from dial_ros.recorder.recorded_topics import RecordedTopic
from dial_ros.srv import StartEpisode, StopEpisode

from .conftest import START_S

pytestmark = pytest.mark.ros
NAMES = ["a", "b"]
EXTRA = "map_note:std_msgs/msg/String,never:std_msgs/msg/String"


class PublishedRobot:
    """Publishes images and joints when asked, and knows what it has sent."""

    def __init__(self, probe) -> None:
        self._probe = probe
        self._images = probe.create_publisher(Image, "image/ego", qos.SENSOR)
        self._joints = probe.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._instruction = probe.create_publisher(Instruction, "instruction", qos.LATCHED)
        self.wire: list[bytes] = []  # the joints, as any subscriber gets them
        probe.create_subscription(JointState, "joint_states", self.wire.append, RecordedTopic("", "").profile, raw=True)
        self.steps = 0

    def instruct(self, text: str) -> None:
        self._instruction.publish(Instruction(instruction_id="1", text=text))

    def step(self) -> None:
        """10 ms of a robot: joints, and every third time an image."""
        self.steps += 1
        joints = JointState(name=NAMES, position=[float(self.steps), 0.0])
        joints.header.stamp = to_time(self.steps * 10_000_000)
        received = len(self.wire)
        self._joints.publish(joints)
        if self.steps % 3 == 0:
            self._images.publish(image_to_message(np.full((96, 96, 3), self.steps % 256, np.uint8), self.steps * 10_000_000, "ego"))
        self._probe.until(lambda: len(self.wire) > received, "its own joints on the wire")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def robot(probe):
    return PublishedRobot(probe)


@pytest.fixture(scope="module")
def recorder(nodes, probe, robot, folder):
    nodes.start("recorder", autostart=True, directory=str(folder), min_free_mb=1, extra_topics=EXTRA)
    robot.instruct("put the can on the plate")
    probe.until(lambda: start(probe, "warm-up").success, "a recorder to which the streams flow", START_S, robot.step)
    probe.call(Trigger, "recorder/discard_episode", Trigger.Request())


def start(probe, label: str = "", instruction: str = "") -> StartEpisode.Response:
    return probe.call(StartEpisode, "recorder/start_episode", StartEpisode.Request(label=label, instruction=instruction))


def stop(probe, outcome: int = StopEpisode.Request.OUTCOME_SUCCESS, note: str = "") -> StopEpisode.Response:
    return probe.call(StopEpisode, "recorder/stop_episode", StopEpisode.Request(outcome=outcome, note=note))


def record(probe, robot, label: str, steps: int = 60) -> StopEpisode.Response:
    probe.until(lambda: start(probe, label).success, "a start", step=robot.step)
    for _ in range(steps):
        robot.step()
    return stop(probe, note="by hand")


def test_a_bag_holds_the_bytes_of_the_wire_and_what_the_operator_said(recorder, probe, robot, folder):
    answer = record(probe, robot, "first")
    assert answer.success, answer.message
    bag = Bag(folder / "first")
    assert {key: bag.facts[key] for key in ("instruction", "outcome", "note", "embodiment", "lost")} == {
        "instruction": "put the can on the plate",
        "outcome": "success",
        "note": "by hand",
        "embodiment": "gr1",
        "lost": "0",
    }
    recorded = [data for _, _, data in bag.messages(["/joint_states"])]
    assert len(recorded) >= 60
    first = robot.wire.index(recorded[0])
    assert recorded == robot.wire[first : first + len(recorded)]
    assert bag.decode("/instruction", next(bag.messages(["/instruction"]))[2]).text == "put the can on the plate"


def test_extra_topics_that_are_latched_are_in_every_bag_and_missing_ones_are_named(recorder, probe, robot, folder):
    probe.create_publisher(String, "map_note", qos.LATCHED).publish(String(data="kitchen"))
    probe.until(lambda: probe.count_subscribers("map_note"), "the recorder's subscription")
    for label in ("with_map", "with_map_again"):
        answer = record(probe, robot, label)
        assert answer.success
        assert answer.message.startswith("nothing came on /never of extra_topics")
        bag = Bag(folder / label)
        assert [bag.decode(topic, data).data for topic, _, data in bag.messages(["/map_note"])] == ["kitchen"]


def test_the_recorder_publishes_diagnostics_of_its_own(recorder, probe):
    reporting = set()
    probe.create_subscription(DiagnosticArray, "/diagnostics", lambda m: reporting.update(status.name for status in m.status), qos.EVENTS)
    probe.until(lambda: "/recorder" in reporting, "diagnostics of the recorder")


def test_an_episode_that_is_there_is_not_overwritten(recorder, probe, robot):
    record(probe, robot, "twice", 5)
    robot.step()
    answer = start(probe, "twice")
    assert not answer.success
    assert "not overwritten" in answer.message


@pytest.mark.parametrize(
    ("label", "instruction", "words"), [("a" * 255, "", "255 characters"), ("long", "a" * 20_000, "instruction has 20000 characters")]
)
def test_an_over_long_label_or_instruction_ends_in_an_answer(recorder, probe, robot, label, instruction, words):
    robot.step()
    answer = start(probe, label, instruction)
    assert not answer.success
    assert words in answer.message


def test_an_over_long_note_is_refused_and_the_episode_continues(recorder, probe, robot):
    probe.until(lambda: start(probe, "noted").success, "a start", step=robot.step)
    answer = stop(probe, note="a" * 20_000)
    assert not answer.success
    assert "still being recorded" in answer.message
    assert stop(probe, note="short").success


def test_a_folder_that_is_removed_ends_the_episode_in_an_answer_and_is_made_again(recorder, probe, robot, folder):
    probe.until(lambda: start(probe, "vanishing").success, "a start", step=robot.step)
    robot.step()
    shutil.rmtree(folder)
    stopped = stop(probe)
    assert not stopped.success
    assert "removed" in stopped.message or "gone" in stopped.message
    assert record(probe, robot, "afterwards", 5).success
    assert Bag(folder / "afterwards").facts["outcome"] == "success"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    robot.step()
    refused = start(probe, "blocked")
    assert not refused.success
    assert "cannot be made" in refused.message
    folder.unlink()
    folder.mkdir()


def test_a_second_start_is_refused_and_discard_leaves_nothing(recorder, probe, robot, folder):
    probe.until(lambda: start(probe, "unwanted").success, "a start", step=robot.step)
    assert "stop or discard it first" in start(probe, "other").message
    assert probe.call(Trigger, "recorder/discard_episode", Trigger.Request()).success
    assert not (folder / "unwanted").exists()
    assert not stop(probe).success


def test_a_silent_camera_is_reported_before_anything_is_recorded(recorder, probe):
    def refusal() -> str:
        answer = start(probe, "blind")
        return "" if answer.success else answer.message

    # The joints have fallen silent too, perhaps a moment before the camera.
    probe.until(
        lambda: "/image/ego" in (why := refusal()) and "nothing arrives on" in why, "a refusal", step=lambda: discard_if_started(probe)
    )


def discard_if_started(probe) -> None:
    probe.call(Trigger, "recorder/discard_episode", Trigger.Request())


def test_a_killed_recorder_leaves_all_but_the_last_second(recorder, probe, robot, nodes, folder, monkeypatch):
    monkeypatch.setattr("dial_core.bags.live_recording.QUIET_S", 0.0)  # its lock is gone with it
    probe.until(lambda: start(probe, "killed").success, "a start", step=robot.step)
    for _ in range(150):
        robot.step()
    marked, end_s = robot.steps, time.monotonic() + 1.5
    while time.monotonic() < end_s:
        robot.step()
    nodes.end("recorder", signal.SIGKILL)
    repaired = repair(folder / "killed").messages
    bag = Bag(folder / "killed")
    newest = max(int(bag.decode("/joint_states", data).position[0]) for _, _, data in bag.messages(["/joint_states"]))
    assert repaired > 100
    assert newest >= marked
