"""docs/nodes.md is true to the running nodes: every topic with direction, type and quality of service, every service with its type."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from dial_core.robot.embodiment import load_embodiment
from dial_ros.msg import System1Status, System2Status
from dial_ros.node import qos
from dial_ros.srv import SetInstruction

from .conftest import START_S

pytestmark = pytest.mark.ros

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "nodes.md").read_text()
CONTROLLERS = [controller.name for controller in load_embodiment("gr1").controllers]
QOS = {
    "sensor": (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE),
    "latest": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
    "latched": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
    "events": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
}
EVERY_NODE_HAS = re.compile(r"/(rosout|parameter_events|diagnostics|clock|\w+/transition_event)$")
EVERY_NODE_SERVES = re.compile(r"(rcl_interfaces|lifecycle_msgs|type_description_interfaces)/")


def rows(node: str, heading: str) -> list[list[str]]:
    section = DOCUMENT.split(f"\n## {node}\n")[1].split("\n## ")[0]
    table = section.split(f"| {heading} |")[1].split("\n\n")[0]
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line.startswith("| `")]


def names(node: str, documented: str) -> list[str]:
    full = documented.replace("~", f"/{node}").replace("<camera>", "ego")
    full = full if full.startswith("/") else f"/{full}"
    return [full.replace("<controller>", name) for name in CONTROLLERS] if "<controller>" in full else [full]


def ros_type(documented: str, kind: str) -> str:
    return documented.replace("/", f"/{kind}/")


@pytest.fixture(scope="module")
def live(nodes, probe, checkpoint):
    """All three nodes, active, with everything on that is off by default."""
    nodes.start("mujoco_robot", autostart=True, scene_camera=True)
    policy = {"autostart": True, "use_sim_time": True, "checkpoint": checkpoint}
    nodes.start("system1", **policy, limits_from="robot_description")
    nodes.start("system2", **policy, foresight_image=True)

    def active():
        status = probe.system1, probe.system2
        return all(status) and status[0].state != System1Status.STATE_INACTIVE and status[1].state != System2Status.STATE_INACTIVE

    probe.until(active, "all nodes active", START_S)
    return probe


@pytest.mark.parametrize("node", ["system1", "system2", "mujoco_robot"])
def test_every_topic_stands_in_the_table_with_direction_type_and_qos(live, node):
    wanted = {}
    for documented, direction, kind, quality, _ in rows(node, "topic"):
        if not documented.endswith("/compressed") and find_spec(kind.split("/")[0]):  # control_msgs need not be installed
            wanted |= {(name, direction): (ros_type(kind, "msg"), *QOS[quality]) for name in names(node, documented)}
    ways = {
        "in": (live.get_subscriber_names_and_types_by_node, live.get_subscriptions_info_by_topic),
        "out": (live.get_publisher_names_and_types_by_node, live.get_publishers_info_by_topic),
    }

    def found():
        there = {}
        for direction, (list_topics, describe) in ways.items():
            for topic, (kind,) in list_topics(node, "/"):
                ends = [end for end in describe(topic) if end.node_name == node]
                if ends and (not EVERY_NODE_HAS.search(topic) or (topic, direction) in wanted):
                    there[topic, direction] = (kind, ends[0].qos_profile.reliability, ends[0].qos_profile.durability)
        return there

    live.until(lambda: found() == wanted, f"topics as documented; differing: {set(found().items()) ^ set(wanted.items())}")


@pytest.mark.parametrize("node", ["system1", "system2", "mujoco_robot"])
def test_every_service_stands_in_the_table_with_its_type(live, node):
    documented = rows(node, "service")
    wanted = {(name, ros_type(kind, "srv")) for documented_name, kind, _ in documented for name in names(node, documented_name)}

    def found():
        return {(name, kind) for name, (kind,) in live.get_service_names_and_types_by_node(node, "/") if not EVERY_NODE_SERVES.match(kind)}

    live.until(lambda: found() == wanted, f"services as documented; differing: {found() ^ wanted}")


def test_every_node_publishes_diagnostics_of_its_own(live):
    reporting = set()
    live.create_subscription(DiagnosticArray, "/diagnostics", lambda m: reporting.update(status.name for status in m.status), qos.EVENTS)
    live.until(lambda: reporting == {"/system1", "/system2", "/mujoco_robot"}, "diagnostics of all nodes")


def test_system1_waits_for_the_robot_description_that_its_limits_are_to_come_from(live):
    instructed = live.call(SetInstruction, "system2/set_instruction", SetInstruction.Request(text="pick the can"))
    assert instructed.success
    live.until(lambda: "robot_description" in live.system1.reason, "the reason names it")
    assert live.system1.state == System1Status.STATE_WAITING
    out = live.create_publisher(String, "robot_description", qos.LATCHED)
    out.publish(String(data="<robot/>"))
    live.until(lambda: "lacks left_arm_controller (l_shoulder_pitch" in live.system1.reason, "a URDF without the joints is refused by name")
    joints = "".join(
        f'<joint name="{joint.name}" type="revolute"><limit lower="{joint.lower}" upper="{joint.upper}" velocity="1" effort="1"/></joint>'
        for joint in load_embodiment("gr1").joints
    )
    out.publish(String(data=f"<robot>{joints}</robot>"))
    live.until(lambda: live.system1.state == System1Status.STATE_RUNNING, "armed with the limits of the URDF")
    live.until(lambda: live.trajectories, "a chunk")
    speeds = [abs(v) for trajectory in live.trajectories for point in trajectory.points for v in point.velocities]
    assert max(speeds) <= 1 + 1e-6


def test_the_foresight_is_drawn_as_three_panels(live):
    live.image = None
    live.keep(Image, "foresight/image", "image", qos.SENSOR)
    live.until(lambda: live.image, "an image")
    assert (live.image.height, live.image.width, live.image.encoding) == (96, 3 * 96, "rgb8")
