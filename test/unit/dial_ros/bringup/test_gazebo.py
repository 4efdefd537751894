"""What Gazebo is given names the robot's joints, controllers and camera as the nodes do.

pytest test/unit/dial_ros/test_gazebo.py
"""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from dial_core.config import config_root
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.gazebo import controllers, description, gz_arguments, processes

ROBOT = load_embodiment("gr1")


@pytest.fixture(scope="module")
def robot():
    return ElementTree.fromstring(description(ROBOT, Path("/somewhere/controllers.yaml")))


def test_ros2_control_drives_exactly_the_commanded_joints_from_home(robot):
    joints = robot.findall("ros2_control/joint")
    assert [joint.get("name") for joint in joints] == list(ROBOT.joint_names)
    starts = [float(joint.find("state_interface[@name='position']/param").text) for joint in joints]
    assert starts == pytest.approx(list(ROBOT.home_position), abs=1e-5)
    assert robot.find("gazebo/plugin/parameters").text == "/somewhere/controllers.yaml"


def test_both_hinges_of_a_finger_take_half_of_its_command(robot):
    mimics = {joint.get("name"): joint.find("mimic") for joint in robot.findall("joint") if joint.find("mimic") is not None}
    assert len(mimics) == 2 * 10
    assert mimics["L_index_intermediate_joint_hinge"].get("joint") == "L_index_proximal_joint"
    assert {mimic.get("multiplier") for mimic in mimics.values()} == {"0.5"}


def test_the_camera_publishes_what_the_policy_sees(robot):
    sensor = robot.find("gazebo/sensor")
    assert sensor.find("topic").text == ROBOT.cameras[0].topic
    assert (sensor.find("camera/image/width").text, sensor.find("camera/image/height").text) == ("96", "96")


def test_controllers_own_their_joints_and_refuse_a_motion_that_does_not_end_at_rest():
    values = yaml.safe_load(controllers(ROBOT))
    for controller in ROBOT.controllers:
        parameters = values[controller.name]["ros__parameters"]
        assert parameters["joints"] == list(controller.joints)
        assert parameters["allow_nonzero_velocity_at_trajectory_end"] is False
        assert controller.name in values["controller_manager"]["ros__parameters"]


def test_every_controller_is_spawned_and_camera_and_clock_are_bridged():
    started = {process.executable: process for process in processes(ROBOT, "<robot/>")}
    assert set(started["spawner"].arguments) == {"joint_state_broadcaster", *(c.name for c in ROBOT.controllers)}
    assert any(topic.startswith("/image/ego@sensor_msgs") for topic in started["parameter_bridge"].arguments)
    assert any(topic.startswith("/clock@") for topic in started["parameter_bridge"].arguments)


def test_the_world_has_the_table_where_ours_has_it():
    assert gz_arguments(headless=True).startswith("-r -s --headless-rendering ")
    world = ElementTree.parse(config_root() / "gazebo" / "tabletop.sdf").getroot().find("world")
    poses = {model.get("name"): [float(v) for v in model.find("pose").text.split()] for model in world.findall("model")}
    assert poses["table"][:3] == [0.52, 0.0, 0.02]
    assert {"placemat", "plate", "can"} <= set(poses)
