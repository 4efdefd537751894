"""A recording made while System-1 drives: strict readers decode every message, and it converts and replays like any other.

pytest test/ros/test_recorded_policy.py
"""

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dial_core.control.motion import to_ns
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.importers.bag.conversion import BagConversion, convert_bags
from dial_core.importers.bag.resampling import Resampling
from dial_core.importers.joint_targets import recorded_targets
from dial_ros.msg import System1Status
from dial_ros.srv import SetInstruction, StartEpisode, StopEpisode

from .conftest import EMBODIMENT, START_S

pytestmark = pytest.mark.ros

TEXT = "pick the can from the placemat and place it on the plate"
COMMANDS = "/right_arm_controller/joint_trajectory"
RECORDED_S = 3.0


@pytest.fixture(scope="module")
def bag(nodes, probe, checkpoint, tmp_path_factory):
    """Three simulated seconds of the policy, recorded."""
    folder = tmp_path_factory.mktemp("recordings")
    nodes.start("mujoco_robot", autostart=True, seed=100_000, real_time_factor=0.5)
    nodes.start("system2", autostart=True, use_sim_time=True, checkpoint=checkpoint)
    nodes.start("system1", autostart=True, use_sim_time=True, checkpoint=checkpoint)
    nodes.start("recorder", autostart=True, use_sim_time=True, directory=str(folder), min_free_mb=1)
    probe.until(lambda: probe.system1 and probe.system2 and probe.joints and probe.system2.state, "all nodes up", START_S)
    started = probe.call(StartEpisode, "recorder/start_episode", StartEpisode.Request(label="driven", instruction=TEXT))
    assert started.success, started.message
    assert probe.call(SetInstruction, "system2/set_instruction", SetInstruction.Request(text=TEXT)).success
    probe.until(lambda: probe.system1.state == System1Status.STATE_RUNNING, "System-1 drives")
    start_ns = to_ns(probe.joints.header.stamp)
    probe.until(lambda: to_ns(probe.joints.header.stamp) > start_ns + RECORDED_S * 1e9, "three simulated seconds")
    stopped = probe.call(StopEpisode, "recorder/stop_episode", StopEpisode.Request(outcome=StopEpisode.Request.OUTCOME_SUCCESS))
    assert stopped.success, stopped.message
    return folder / "driven"


def test_rosbags_decodes_every_message_by_the_definitions_in_the_bag(bag):
    store, counts = get_typestore(Stores.EMPTY), {}
    with Reader(bag) as reader:
        for connection in reader.connections:
            types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
        listed = {name: topic.msgcount for name, topic in reader.topics.items()}
        for connection, _, data in reader.messages():
            store.deserialize_cdr(data, connection.msgtype)  # refuses bytes too many as well as too few
            counts[connection.topic] = counts.get(connection.topic, 0) + 1
    assert {name: counts.get(name, 0) for name in listed} == listed
    assert counts[COMMANDS] > 10
    assert counts["/foresight"] > 5
    assert {name for name in listed if not counts.get(name)} <= {"/mujoco_robot/success"}


def test_the_decoder_of_mcap_reads_them_too(bag):
    trajectories = 0
    for file in sorted(bag.glob("*.mcap")):
        with file.open("rb") as stream:
            for _, channel, _, message in make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
                if channel.topic == COMMANDS:
                    trajectories += 1
                    assert all(len(point.positions) == len(message.joint_names) for point in message.points)
    assert trajectories > 10


def test_it_converts_with_the_policys_commands_as_actions(bag, tmp_path):
    settings = BagConversion(resampling=Resampling(min_length_s=0.5, idle_rad_s=0.0))
    report = convert_bags([bag], tmp_path / "dataset", settings, workers=0)
    assert report.converted == 1
    dataset = LeRobotDataset(tmp_path / "dataset")
    assert sum(span.length for span in dataset.episodes) > 0.8 * RECORDED_S * EMBODIMENT.rate_hz
    assert np.isfinite(dataset.actions).all()
    assert dataset.instructions == [TEXT]


def test_its_commands_can_be_replayed(bag):
    targets, embodiment = recorded_targets(bag, 0)
    assert embodiment == "gr1"
    assert targets.shape[1] == len(EMBODIMENT.joint_names)
    assert np.isfinite(targets).all()
