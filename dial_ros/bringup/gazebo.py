"""What runs beside the graph in Gazebo: the robot's description with ros2_control and camera, its controllers, and the processes.

Plain data, read by launch/gazebo.launch.py; ros_gz and gz_ros2_control come with an apt ROS 2 (Jazzy: Gazebo Harmonic).
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import yaml

from dial_core.config import config_root, load_config
from dial_core.robot.embodiment import Embodiment
from dial_core.sim.robot import BodyShapes
from dial_core.sim.robot_urdf import robot_urdf

PACKAGES = (
    "ros_gz_sim",
    "ros_gz_bridge",
    "gz_ros2_control",
    "controller_manager",
    "joint_state_broadcaster",
    "joint_trajectory_controller",
    "robot_state_publisher",
)
STATE_RATE_HZ = 100  # of ros2_control; joint states and trajectories are sampled at it


@dataclass(frozen=True)
class Process:
    """One process of another package."""

    package: str
    executable: str
    arguments: tuple[str, ...] = ()
    parameters: dict[str, object] = field(default_factory=dict)


def description(embodiment: Embodiment, controllers_file: Path) -> str:
    """Returns the URDF with what Gazebo adds: position servos through ros2_control, the camera, and links without gravity.

    The arms' weight is taken off as robots' own gravity compensation does it, and as the MuJoCo model has it.
    """
    robot = ElementTree.fromstring(robot_urdf(embodiment))
    system = ElementTree.SubElement(robot, "ros2_control", name="GazeboSimSystem", type="system")
    hardware = ElementTree.SubElement(system, "hardware")
    ElementTree.SubElement(hardware, "plugin").text = "gz_ros2_control/GazeboSimSystem"
    for joint in embodiment.joints:
        element = ElementTree.SubElement(system, "joint", name=joint.name)
        ElementTree.SubElement(element, "command_interface", name="position")
        position = ElementTree.SubElement(element, "state_interface", name="position")
        ElementTree.SubElement(position, "param", name="initial_value").text = f"{joint.home:g}"
        ElementTree.SubElement(element, "state_interface", name="velocity")
    plugin = {"filename": "gz_ros2_control-system", "name": "gz_ros2_control::GazeboSimROS2ControlPlugin"}
    control = ElementTree.SubElement(ElementTree.SubElement(robot, "gazebo"), "plugin", plugin)
    ElementTree.SubElement(control, "parameters").text = str(controllers_file)
    for link in robot.findall("link")[1:]:
        extra = ElementTree.SubElement(robot, "gazebo", reference=link.get("name", ""))
        ElementTree.SubElement(extra, "gravity").text = "false"
    robot.append(_camera(embodiment))
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding="unicode")


def controllers(embodiment: Embodiment) -> str:
    """Returns the controller manager's YAML: joint states, and one joint_trajectory_controller for each of the embodiment's."""
    broadcaster = {"type": "joint_state_broadcaster/JointStateBroadcaster"}
    manager: dict[str, object] = {"update_rate": STATE_RATE_HZ, "joint_state_broadcaster": broadcaster}
    values: dict[str, object] = {"controller_manager": {"ros__parameters": manager}}
    for controller in embodiment.controllers:
        manager[controller.name] = {"type": "joint_trajectory_controller/JointTrajectoryController"}
        values[controller.name] = {
            "ros__parameters": {
                "joints": list(controller.joints),
                "command_interfaces": ["position"],
                "state_interfaces": ["position", "velocity"],
                "allow_nonzero_velocity_at_trajectory_end": False,
                "interpolate_from_desired_state": True,  # a new trajectory continues from the commanded state, not from the measured one
                "allow_trajectory_replacement": False,  # since 6.8: its blending would shift every trajectory to its arrival
            }
        }
    return yaml.safe_dump(values, sort_keys=False)


def gz_arguments(headless: bool) -> str:
    """Returns the arguments of ros_gz_sim's gz_sim.launch.py: the tabletop world, running; `headless` renders without a window."""
    window = "-s --headless-rendering " if headless else ""
    return f"-r {window}{config_root() / 'gazebo' / 'tabletop.sdf'}"


def processes(embodiment: Embodiment, urdf: str) -> tuple[Process, ...]:
    """Returns what runs beside Gazebo, System-2 and System-1: robot spawner, controllers, and the bridge of camera and clock."""
    topics = ["/clock@rosgraph_msgs/msg/Clock[gz.msgs.Clock"]
    topics += [f"/{camera.topic.strip('/')}@sensor_msgs/msg/Image[gz.msgs.Image" for camera in embodiment.cameras]
    names = ["joint_state_broadcaster", *(controller.name for controller in embodiment.controllers)]
    simulated: dict[str, object] = {"use_sim_time": True}
    return (
        Process("robot_state_publisher", "robot_state_publisher", (), simulated | {"robot_description": urdf}),
        Process("ros_gz_sim", "create", ("-topic", "robot_description", "-name", embodiment.name)),
        Process("controller_manager", "spawner", tuple(names), simulated),
        Process("ros_gz_bridge", "parameter_bridge", tuple(topics), simulated),
    )


def _camera(embodiment: Embodiment) -> ElementTree.Element:
    """The head camera as a sensor with the embodiment's image size, at its control rate."""
    mount = load_config(BodyShapes, "embodiments", f"{embodiment.name}_body").camera
    camera = next(camera for camera in embodiment.cameras if camera.name == mount.name)
    extra = ElementTree.Element("gazebo", reference=f"{mount.name}_link")
    sensor = ElementTree.SubElement(extra, "sensor", name=mount.name, type="camera")
    for key, text in {
        "topic": camera.topic.strip("/"),
        "update_rate": f"{embodiment.rate_hz:g}",
        "gz_frame_id": f"{mount.name}_optical_frame",
    }.items():
        ElementTree.SubElement(sensor, key).text = text
    optics = ElementTree.SubElement(sensor, "camera")
    # Images are square in training, so the field of view is the same either way.
    ElementTree.SubElement(optics, "horizontal_fov").text = f"{mount.field_of_view_rad:g}"
    image = ElementTree.SubElement(optics, "image")
    for key, value in {"width": camera.width, "height": camera.height, "format": "R8G8B8"}.items():
        ElementTree.SubElement(image, key).text = str(value)
    clip = ElementTree.SubElement(optics, "clip")
    ElementTree.SubElement(clip, "near").text = "0.02"
    ElementTree.SubElement(clip, "far").text = "5.0"
    return extra
