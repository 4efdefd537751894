"""A robot whose hands report their joints on a topic of their own: System-1 merges the two, and names the part that falls silent."""

import pytest
import yaml
from sensor_msgs.msg import JointState

from dial_core.checkpoint.contract import Contract
from dial_core.config import config_path
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import graph
from dial_ros.msg import System1Status
from dial_ros.node import qos
from dial_ros.node.messages import to_time

from .conftest import START_S
from .played_world import STEP_NS, PlayedWorld

pytestmark = pytest.mark.ros

HANDS_TOPIC = "/hands/joint_states"


class TwoBroadcasters(PlayedWorld):
    """Publishes the hands on a topic of their own, and the other joints on `joint_states`."""

    def __init__(self, probe, model_id, shape, embodiment):
        super().__init__(probe, model_id, shape, embodiment)
        whole = dict(zip(self.joints.name, self.joints.position, strict=True))
        hands = {joint.name for joint in embodiment.joints if "hand" in joint.group}
        self.hands = JointState(name=sorted(hands), position=[whole[name] for name in sorted(hands)])
        rest = {name: position for name, position in whole.items() if name not in hands}
        self.joints = JointState(name=list(rest), position=list(rest.values()))
        self.on.add("hands")
        self._hands_out = probe.create_publisher(JointState, HANDS_TOPIC, qos.SENSOR)

    def step(self):
        if "hands" in self.on:
            self.hands.header.stamp = to_time(self.now_ns + STEP_NS // 2)
            self._hands_out.publish(self.hands)
        super().step()


@pytest.fixture(scope="module")
def world(nodes, probe, checkpoint, tmp_path_factory):
    values = yaml.safe_load(config_path("embodiments", "gr1").read_text()) | {"further_joint_states_topics": [HANDS_TOPIC]}
    path = tmp_path_factory.mktemp("embodiment") / "gr1.yaml"
    path.write_text(yaml.safe_dump(values))
    system1 = next(node for node in graph("humanoid", robot=str(path), checkpoint=str(checkpoint)) if node.name == "system1")
    assert system1.remappings == {"joint_states_2": HANDS_TOPIC}
    played = {"use_sim_time": True, "clock_timeout": 10.0, "max_divergence": 10.0}
    nodes.start("system1", remappings=system1.remappings, **system1.parameters | played)
    contract = Contract.model_validate_json((checkpoint / "contract.json").read_text())
    world = TwoBroadcasters(probe, contract.model_id, contract.foresight_shape, load_embodiment("gr1"))
    world.until(lambda: probe.system1 is not None, "System-1 up", START_S)
    return world


def test_joint_states_of_two_topics_are_merged_and_the_one_that_falls_silent_is_named(world):
    world.instruct()
    world.until_state(System1Status.STATE_RUNNING, "System-1 runs on the joints of both")
    before = len(world.probe.trajectories)
    world.until(lambda: len(world.probe.trajectories) > before + 1, "chunks")
    world.on.discard("hands")
    world.until_state(System1Status.STATE_HOLDING, "a hold without the hands")
    assert "joint_states lack left_hand_controller" in world.probe.system1.reason
    assert "right_hand_controller" in world.probe.system1.reason
    assert "left_arm_controller" not in world.probe.system1.reason
    world.on.add("hands")
    world.until_state(System1Status.STATE_RUNNING, "System-1 resumes")
