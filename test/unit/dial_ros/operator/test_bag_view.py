"""A recorded bag as the page shows it: what stood at a moment, and what happened after it.

pytest test/unit/dial_ros/operator/test_bag_view.py
"""

import time
from array import array
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import BagError, Topic
from dial_core.bags.synthetic import CONTROLLER, ELBOW, JOINTS, KINDS, MS, ROBOT, STORE, elbow, joint_bytes, record
from dial_core.control.motion import NANOSECONDS
from dial_ros.msg import System1Status, System2Status
from dial_ros.operator.bag_view import BagView
from dial_ros.operator.lights import waterfall
from dial_ros.operator.playback import load, main

REPOSITORY = Path(__file__).parents[4]
SLOPE_RAD_PER_S, LAG_S = 0.25, 0.04  # of the recorded elbow, and of its joints behind the commands


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return record(tmp_path_factory.mktemp("bag") / "episode", 4.0)


@pytest.fixture
def view(bag):
    return load(bag)


def test_a_moment_has_its_joints_image_and_chunk(view):
    view.seek(1.5)
    seen = view.seen
    assert seen.robot_ns == pytest.approx(2.5 * NANOSECONDS, abs=0.02 * NANOSECONDS)
    assert seen.measured[ELBOW] == pytest.approx(elbow(2.5 - LAG_S), abs=0.005)
    assert seen.camera.startswith("data:image/png")
    assert view.commanded.target(seen.robot_ns)[ELBOW] == pytest.approx(elbow(2.5), abs=0.005)
    assert view.commanded.plan("r_elbow_pitch", seen.robot_ns).past


def test_what_happened_afterwards_is_there_and_the_chunk_is_judged_by_it(view):
    view.seek(1.5)
    assert view.seen.joints[-1][0] > view.seen.robot_ns + 0.9 * NANOSECONDS
    mean, joint, largest = view.chunk_error()
    assert joint == "r_elbow_pitch"
    assert largest == pytest.approx(SLOPE_RAD_PER_S * LAG_S, abs=0.004)  # the robot follows that much behind
    assert mean == pytest.approx(largest / len(CONTROLLER.joints), rel=0.1)


def test_seeking_stays_within_the_bag_and_goes_back(view):
    view.seek(99.0)
    assert view.position_s == view.duration_s
    assert view.chunk_error() is None  # nothing follows the end
    view.seek(-1.0)
    assert view.position_s == 0.0
    assert view.seen.joints[0][0] == view.seen.robot_ns


def test_chunks_are_listed_once_for_all_controllers(view):
    assert len(view.chunks_s) == 80
    assert np.diff(view.chunks_s) == pytest.approx(0.05)


def test_playing_moves_on_with_the_wall_clock_and_ends_with_the_bag(view, monkeypatch):
    now_s = [time.monotonic() + 10.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    view.seek(0.0)
    view.poll(0.1)  # the first only sets the time to measure from
    view.playing, view.speed = True, 2.0
    now_s[0] += 0.2
    view.poll(0.1)
    assert view.position_s == pytest.approx(0.4)
    view.seek(view.duration_s - 0.1)
    now_s[0] += 0.2
    view.poll(0.1)
    assert not view.playing
    view.playing = True
    view.watch(False)
    assert not view.playing


def test_a_bag_of_another_robot_is_refused_by_name(bag, capsys):
    with pytest.raises(BagError, match="no joint states of iron"):
        load(bag, "iron")
    assert main([str(bag.parent / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err


LEFT, RIGHT = ROBOT.joint_names[:20], ROBOT.joint_names[20:]


def in_parts(topic, stamp_ns, data):
    """Joint states of two broadcasters in turn."""
    return joint_bytes(stamp_ns + NANOSECONDS, LEFT if stamp_ns // (10 * MS) % 2 else RIGHT) if topic == JOINTS else data


def test_joint_states_in_parts_are_merged_as_system_1_merges_them(tmp_path):
    view = BagView(record(tmp_path / "episode", 2.0, change=in_parts), ROBOT)
    view.seek(1.8)
    assert view.seen.measured[ELBOW] == pytest.approx(elbow(2.8 - LAG_S), abs=0.01)
    assert view.duration_s == pytest.approx(2.0, abs=0.05)


def test_parts_on_topics_of_their_own_are_merged_and_a_leader_arm_of_the_same_joints_does_not_count(tmp_path):
    folder = tmp_path / "parts"
    names = {"/robot/joint_states": LEFT, "/hands/joint_states": RIGHT, "/gello/states": RIGHT}
    described = [Topic(name, KINDS[JOINTS], STORE.generate_msgdef(KINDS[JOINTS], ros_version=2)[0]) for name in names]
    writer = BagWriter(folder, described, {})
    for k in range(100):
        for name, joints in names.items():
            writer.write(name, k * 10 * MS, k * 10 * MS, joint_bytes(k * 10 * MS + NANOSECONDS, joints, still=name == "/gello/states"))
    writer.close()
    robot = ROBOT.model_copy(update={"joint_states_topic": "/robot/joint_states", "further_joint_states_topics": ("/hands/joint_states",)})
    view = BagView(folder, robot)
    assert [positions[ELBOW] for _, positions in view.seen.joints] == pytest.approx(
        [elbow(stamp_ns / NANOSECONDS - LAG_S) for stamp_ns, _ in view.seen.joints], abs=0.006
    )
    assert BagView(folder, ROBOT).duration_s > 0.9, "topics that the embodiment does not name are merged where its own do not suffice"


def test_a_system_that_fell_silent_in_the_bag_is_shown_as_silent(view):
    view._system1.add(1_200 * MS, status := System1Status())
    view.seek(0.5)
    assert view.seen.system1 is status
    assert not view.seen.silent("system1")
    view.seek(3.0)
    assert view.seen.silent("system1")
    assert view.seen.silent("system2"), "it never reported"


def test_the_status_of_an_older_bag_has_no_age_of_the_chunks_foresight(tmp_path):
    lines = (REPOSITORY / "msg/System1Status.msg").read_text().splitlines()
    older, kind = get_typestore(Stores.ROS2_JAZZY), "dial_ros/msg/System1Status"
    older.register(get_types_from_msg("\n".join(line for line in lines if "foresight_age_of_chunk" not in line), kind))
    writer = BagWriter(
        tmp_path / "older",
        [
            Topic(JOINTS, KINDS[JOINTS], STORE.generate_msgdef(KINDS[JOINTS], ros_version=2)[0]),
            Topic("/system1/status", kind, older.generate_msgdef(kind, ros_version=2)[0]),
        ],
        {},
    )
    writer.write(JOINTS, 0, 0, joint_bytes(0))
    values = {name: getattr(System1Status(camera_to_command_latency=0.25), name) for name, _ in older.fielddefs[kind][1]}
    values = {name: np.asarray(value) if isinstance(value, array) else value for name, value in values.items()}
    writer.write("/system1/status", 0, 0, bytes(older.serialize_cdr(SimpleNamespace(**values), kind)))
    writer.close()
    view = BagView(tmp_path / "older", ROBOT)
    view.seen.system2 = System2Status(camera_to_foresight_latency=0.3)
    assert view.seen.system1.camera_to_command_latency == 0.25
    assert waterfall(view.seen)[0][0] == "exposure to node"


def test_damaged_messages_cost_themselves(tmp_path):
    def cut(topic, stamp_ns, data):
        return data[:30] if stamp_ns < NANOSECONDS // 2 else data

    view = BagView(record(tmp_path / "episode", 2.0, change=cut), ROBOT)
    assert view.duration_s == pytest.approx(1.5, abs=0.02)
    assert view.seen.camera.startswith("data:image/png")


@pytest.mark.parametrize(("shape", "value"), [((16, 8), np.nan), ((15, 8), 0.5), ((1, 8), 0.5), ((16, 2), 0.5)])
def test_a_foresight_that_cannot_be_drawn_is_left_out(view, shape, value):
    tokens = np.full(shape, value, np.float32)
    view._on_foresight(MS, SimpleNamespace(shape=shape, dtype="float32", data=tokens.tobytes(), instruction_id="1"))
    view.seek(1.0)
    assert view.seen.foresight == ""


def test_images_that_cannot_be_read_leave_the_rest(tmp_path):
    broken = record(tmp_path / "episode", 0.5, change=lambda topic, stamp_ns, data: data)
    view = BagView(broken, ROBOT)
    assert view.seen.foresight == ""
    assert view.seen.system1 is None
