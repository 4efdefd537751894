"""Generates the SROS2 policy from the embodiment, whose controllers and topics it names.

python -m dial_ros.bringup.security --robot gr1 > policy.xml        (what to do with it: docs/security.md)

A policy allows and denies the rest. So only System-1 may publish trajectories (with `--guard` only the guard, and System-1 only to
it), only System-2 instructions and foresight, and only the enclave `operator`, a person or the page, may call the services that
start, stop, instruct or record a robot. The recorder subscribes and publishes nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment, load_embodiment

ENCLAVE_ROOT = "/dial"
PARAMETER_SERVICES = ("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters", "set_parameters")
LIFECYCLE_SERVICES = ("change_state", "get_state", "get_available_states", "get_available_transitions", "get_transition_graph")
NODE_SERVICES = (*LIFECYCLE_SERVICES, *PARAMETER_SERVICES, "set_parameters_atomically", "get_type_description")  # rclpy makes them
NODES = ("system1", "system2", "mujoco_robot", "recorder")


@dataclass(frozen=True)
class Rights:
    """Permissions of one node; names relative to the robot's namespace unless they begin with a slash."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()


def rights(embodiment: Embodiment, guarded: bool = False) -> dict[str, Rights]:
    """Returns the permissions of every node and person. `guarded`: System-1 reaches the controllers through the guard alone."""
    trajectories = tuple(f"{controller.name}/joint_trajectory" for controller in embodiment.controllers)
    dry = tuple(f"dry_run/{topic}" for topic in trajectories)
    cameras = tuple(topic for camera in embodiment.cameras for topic in (camera.topic, f"{camera.topic}/compressed"))
    joints = tuple(embodiment.joint_states_topics.values())
    stops = ("system1/pause", "system1/estop", "system1/reset_estop")
    world = ("mujoco_robot/reset", "mujoco_robot/set_pause", "mujoco_robot/step")
    switches = tuple(f"{controller.name}/set_active" for controller in embodiment.controllers)
    status = ("system1/status", "system2/status")
    episodes = ("recorder/start_episode", "recorder/stop_episode", "recorder/discard_episode")
    errors = ("foresight/error", "foresight/unchanged_error")
    recorded = (*cameras, *joints, *trajectories, *dry, "foresight", *errors, "instruction", *status, "mujoco_robot/success")
    references = tuple(f"{controller.name}/reference" for controller in embodiment.controllers)
    states = tuple(f"{controller.name}/controller_state" for controller in embodiment.controllers)
    system1_in = (*cameras, *joints, "foresight", "instruction", "robot_description", *references, *states)
    jogs = ("teleoperation/twist", "teleoperation/grip")
    hand_stops = ("teleoperation/stop", "teleoperation/reset_stop")
    seen = ("foresight/image", *errors)
    system2_out = (*seen, "foresight", "instruction", "system2/status")
    nodes = (*NODES, "guard") if guarded else NODES
    checked = tuple(f"guarded/{topic}" for topic in trajectories)
    guard_out, guard_in = (*trajectories, *dry), (*checked, *joints, "robot_description")
    guard = {"guard": _node("guard", Rights(guard_out, guard_in, ("guard/reset",)))} if guarded else {}
    controlled = tuple(f"{node}/{service}" for node in nodes for service in LIFECYCLE_SERVICES)
    read = tuple(f"{node}/{service}" for node in nodes for service in PARAMETER_SERVICES)
    commands = checked if guarded else (*trajectories, *dry)
    return guard | {
        "system1": _node("system1", Rights((*commands, "system1/status"), system1_in, stops)),
        "system2": _node("system2", Rights(system2_out, (*cameras, "system1/status"), ("system2/set_instruction",))),
        "mujoco_robot": _node(
            "mujoco_robot",
            Rights(
                (
                    "/clock",
                    *joints,
                    *references,
                    *cameras,
                    "image/scene",
                    "mujoco_robot/success",
                    "mujoco_robot/rejected",
                    "mujoco_robot/set_points",
                    "mujoco_robot/target",
                ),
                trajectories,
                (*world, *switches),
            ),
        ),
        "recorder": _node("recorder", Rights((), recorded, episodes)),
        "operator": Rights(
            publish=("/rosout", "/parameter_events", *jogs),
            subscribe=(
                *("/clock", "/diagnostics", "/rosout", "/parameter_events", "instruction", *status, *joints, *cameras),
                *(*seen, "mujoco_robot/success", *trajectories, *dry),
            ),
            reply=tuple(f"operator/{service}" for service in (*PARAMETER_SERVICES, "set_parameters_atomically", "get_type_description")),
            request=(
                *stops,
                *hand_stops,
                *(["guard/reset"] if guarded else []),
                "system2/set_instruction",
                *world,
                *episodes,
                *controlled,
                *read,
            ),
        ),
    }


def policy(embodiment: Embodiment, namespace: str = "", guarded: bool = False) -> str:
    """Returns the policy's XML (sros2 format 0.2.0): an enclave a node, below `/dial/<namespace>`."""
    root = ElementTree.Element("policy", version="0.2.0")
    enclaves = ElementTree.SubElement(root, "enclaves")
    space = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    for name, allowed in rights(embodiment, guarded).items():
        enclave = ElementTree.SubElement(enclaves, "enclave", path=f"{ENCLAVE_ROOT}{space}/{name}")
        profiles = ElementTree.SubElement(enclave, "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns=space or "/", node=name)
        for kind, right in (("topic", "publish"), ("topic", "subscribe"), ("service", "reply"), ("service", "request")):
            if names := getattr(allowed, right):
                group = ElementTree.SubElement(profile, f"{kind}s", {right: "ALLOW"})
                for each in sorted(set(names)):
                    ElementTree.SubElement(group, kind).text = each
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _node(name: str, own: Rights) -> Rights:
    """Returns a node's permissions with those that every node of ours needs."""
    return Rights(
        publish=(*own.publish, "/diagnostics", "/rosout", "/parameter_events", f"{name}/transition_event"),
        subscribe=(*own.subscribe, "/clock", "/parameter_events"),
        reply=(*own.reply, *(f"{name}/{service}" for service in NODE_SERVICES)),
        request=own.request,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the policy of a robot; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dial_ros.bringup.security", description="An SROS2 policy for a robot.")
    parser.add_argument("--robot", default="gr1", help="embodiment: a name in config/embodiments/, or a path (default: %(default)s)")
    parser.add_argument("--namespace", default="", help="ROS namespace of the robot's nodes")
    parser.add_argument("--guard", action="store_true", help="the graph is started with guard:=true")
    options = parser.parse_args(arguments)
    try:
        print(policy(load_embodiment(options.robot), options.namespace, options.guard), end="")
    except DialError as error:
        print(f"[security] {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
