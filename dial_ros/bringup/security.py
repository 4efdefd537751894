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
from dial_ros.node.dry_run import ASIDE

ENCLAVE_ROOT = "/dial"
PARAMETER_SERVICES = ("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters", "set_parameters")
LIFECYCLE_SERVICES = ("change_state", "get_state", "get_available_states", "get_available_transitions", "get_transition_graph")
OWN_SERVICES = (*PARAMETER_SERVICES, "set_parameters_atomically", "get_type_description")  # rclpy makes them for every node
NODE_SERVICES = (*LIFECYCLE_SERVICES, *OWN_SERVICES)
# Nodes of the enclave `operator`: the page, and those that commands make (`dial stop`, `dial record`, `ros2 service call`). DDS
# refuses to make a node of which it denies any service. ros2cli's names end in a type or a process id: the one wildcard, and only
# for the services that rclpy makes for every node.
OPERATORS = ("operator", "/operator_shell", "record_operator", "/_ros2cli*")
NODES = ("system1", "system2", "mujoco_robot", "recorder")
STATUS = ("system1/status", "system2/status")
FORESIGHT_ERRORS = ("foresight/error", "foresight/unchanged_error")
STOPS = ("system1/pause", "system1/estop", "system1/reset_estop")
SIMULATION = ("mujoco_robot/reset", "mujoco_robot/set_pause", "mujoco_robot/step")
EPISODES = ("recorder/start_episode", "recorder/stop_episode", "recorder/discard_episode")


@dataclass(frozen=True)
class Rights:
    """Permissions of one node; names relative to the robot's namespace unless they begin with a slash."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()


class _Topics:
    """Topics and services of one robot, in the groups that permissions are given for."""

    def __init__(self, embodiment: Embodiment) -> None:
        controllers = [controller.name for controller in embodiment.controllers]
        self.trajectories = tuple(f"{name}/joint_trajectory" for name in controllers)
        self.dry_run = tuple(f"{ASIDE}{topic}" for topic in self.trajectories)
        self.dry_run_reports = tuple(f"{ASIDE}{name}/{kind}" for name in controllers for kind in ("reference", "controller_state"))
        self.guarded = tuple(f"guarded/{topic}" for topic in self.trajectories)
        self.references = tuple(f"{name}/reference" for name in controllers)
        self.controller_states = tuple(f"{name}/controller_state" for name in controllers)
        self.reports = (*self.references, *self.controller_states, *self.dry_run_reports)
        self.switches = tuple(f"{name}/set_active" for name in controllers)
        self.cameras = tuple(topic for camera in embodiment.cameras for topic in (camera.topic, f"{camera.topic}/compressed"))
        self.joints = tuple(embodiment.joint_states_topics.values())


def rights(embodiment: Embodiment, guarded: bool = False) -> dict[str, Rights]:
    """Returns the permissions of every node and person. `guarded`: System-1 reaches the controllers through the guard alone."""
    topics = _Topics(embodiment)
    nodes = {
        "system1": _system1(topics, guarded),
        "system2": _system2(topics),
        "mujoco_robot": _mujoco_robot(topics),
        "recorder": _recorder(topics),
    }
    if guarded:
        nodes = {"guard": _guard(topics)} | nodes
    return {name: _node(name, own) for name, own in nodes.items()} | {"operator": _operator(topics, guarded)}


def _system1(topics: _Topics, guarded: bool) -> Rights:
    commands = topics.guarded if guarded else topics.trajectories
    return Rights(
        publish=(*commands, *topics.dry_run, "system1/status"),
        subscribe=(*topics.cameras, *topics.joints, "foresight", "instruction", "robot_description", *topics.reports),
        reply=STOPS,
    )


def _system2(topics: _Topics) -> Rights:
    return Rights(
        publish=("foresight/image", *FORESIGHT_ERRORS, "foresight", "instruction", "system2/status"),
        subscribe=(*topics.cameras, "system1/status"),
        reply=("system2/set_instruction",),
    )


def _guard(topics: _Topics) -> Rights:
    return Rights(
        publish=(*topics.trajectories, *(f"{ASIDE}guard/{topic}" for topic in topics.trajectories)),
        subscribe=(*topics.guarded, *topics.joints, "robot_description", *topics.reports),
        reply=("guard/reset",),
    )


def _mujoco_robot(topics: _Topics) -> Rights:
    own = tuple(f"mujoco_robot/{topic}" for topic in ("success", "rejected", "set_points", "target"))
    return Rights(
        publish=("/clock", *topics.joints, *topics.references, *topics.cameras, "image/scene", *own),
        subscribe=topics.trajectories,
        reply=(*SIMULATION, *topics.switches),
    )


def _recorder(topics: _Topics) -> Rights:
    motion = (*topics.joints, *topics.trajectories, *topics.dry_run)
    decisions = ("foresight", *FORESIGHT_ERRORS, "instruction", *STATUS)
    return Rights(subscribe=(*topics.cameras, *motion, *decisions, "mujoco_robot/success"), reply=EPISODES)


def _operator(topics: _Topics, guarded: bool) -> Rights:
    """A person or the page: whoever may stop, instruct and record the robot, and start its nodes."""
    nodes = (*NODES, "guard") if guarded else NODES
    called = (*LIFECYCLE_SERVICES, *PARAMETER_SERVICES, "set_parameters_atomically")  # which the page's client makes, and does not call
    managed = tuple(f"{node}/{service}" for node in nodes for service in called)
    logs = ("/clock", "/diagnostics", "/rosout", "/parameter_events")
    motion = (*topics.joints, *topics.trajectories, *topics.dry_run)
    decisions = ("instruction", *STATUS, "foresight/image", *FORESIGHT_ERRORS)
    stops = (*STOPS, "teleoperation/stop", "teleoperation/reset_stop", *(["guard/reset"] if guarded else []))
    return Rights(
        publish=("/rosout", "/parameter_events", "teleoperation/twist", "teleoperation/grip"),
        subscribe=(*logs, *topics.cameras, *motion, *decisions, "mujoco_robot/success"),
        reply=tuple(f"{node}/{service}" for node in OPERATORS for service in OWN_SERVICES),
        request=(*stops, "system2/set_instruction", *SIMULATION, *EPISODES, *managed),
    )


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
