"""The user's own parameters beside those of config/nodes/: each reaches its node, whatever its namespace, or is refused.

pytest test/unit/dial_ros/bringup/test_parameter_files.py
"""

import random

import pytest
from rclpy.context import Context
from rclpy.node import Node

from dial_core.errors import DialError
from dial_ros.bringup.declared_parameters import DECLARED
from dial_ros.bringup.graph import graph
from dial_ros.bringup.runner import command
from dial_ros.guard.guard_node import GuardNode
from dial_ros.mujoco_robot.mujoco_robot_node import MujocoRobotNode
from dial_ros.operator import page_parameters
from dial_ros.recorder.recorder_node import RecorderNode
from dial_ros.system1.system1_node import System1Node
from dial_ros.system2.system2_node import System2Node
from dial_ros.teleoperation.teleoperation_node import TeleoperationNode


@pytest.fixture
def own(tmp_path):
    """Returns the path of the user's file with the given text."""

    def write(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def parameters(kind: str, node: str, **chosen):
    return next(each for each in graph(kind, **chosen) if each.name == node).parameters


def test_the_users_parameters_count_for_the_lead_that_the_guard_needs_too(own):
    file = own("/left/guard: {ros__parameters: {transport: 0.1, controller_period: 0.02}}\n/**: {ros__parameters: {velocity_share: 0.1}}")
    chosen = {"guard": "true", "params_file": file, "namespace": "left"}
    assert parameters("humanoid", "system1", **chosen)["splice_lead"] == 0.172
    assert parameters("humanoid", "guard", **chosen)["transport"] == 0.1
    file = own("system1: {ros__parameters: {splice_lead: 0.3}}")
    assert parameters("humanoid", "system1", guard="true", params_file=file)["splice_lead"] == 0.3


@pytest.mark.parametrize("content", ["splice_lead: 0.1", "system1: {splice_lead: 0.1}", "- 3", "{", "", "3: {ros__parameters: {a: 1}}"])
def test_a_parameter_file_that_is_none_is_refused_with_what_it_should_have(own, tmp_path, content):
    with pytest.raises(DialError, match=r"params_file: .*mine\.yaml (cannot be read|does not have for each node)"):
        graph("sim", params_file=own(content))
    with pytest.raises(DialError, match=r"params_file: .*absent\.yaml cannot be read"):
        graph("sim", params_file=str(tmp_path / "absent.yaml"))


MATCHING = [
    *(("", key) for key in ("system1", "/system1", "/**", "**", "/*", "/**/system1")),
    *(("left", key) for key in ("system1", "/left/system1", "left/system1", "/**", "/*/*", "/left/*", "/*/system1", "/**/system1")),
    ("lab/left", "/lab/*/system1"),
]


@pytest.mark.parametrize(("namespace", "key"), MATCHING)
def test_a_node_gets_the_users_values_instead_of_ours(own, namespace, key):
    """As the node itself reads its command line; a test with `ros2 launch` needs an installed one."""
    nodes = graph("humanoid", namespace=namespace, params_file=own(f'"{key}": {{ros__parameters: {{velocity_share: 0.25}}}}'))
    line = command(next(node for node in nodes if node.name == "system1"), namespace)
    context = Context()
    context.init(args=line[line.index("--ros-args") :], domain_id=random.randint(1, 200))
    try:
        started = Node("x", context=context, automatically_declare_parameters_from_overrides=True)
        assert started.get_fully_qualified_name() == f"/{namespace}/system1".replace("//", "/")
        assert started.get_parameter("velocity_share").value == 0.25
        assert started.get_parameter("splice_lead").value == 0.05
        started.destroy_node()
    finally:
        context.shutdown()


@pytest.mark.parametrize(
    ("namespace", "key"),
    [("", "sytem1"), ("", "/left/system1"), ("left", "/system1"), ("left", "/right/system1"), ("left", "/*"), ("", "/*/*")],
)
def test_a_node_that_is_none_is_refused_with_those_that_there_are(own, namespace, key):
    file = own(f'"{key}": {{ros__parameters: {{velocity_share: 0.1}}}}')
    full = "/left/system1" if namespace else "/system1"
    with pytest.raises(DialError, match=rf"params_file: .*mine\.yaml: '.*' is no node(; did you mean .*system1\?|\.) Nodes: {full}, "):
        graph("humanoid", namespace=namespace, params_file=file)


def test_the_nearest_name_of_a_node_is_proposed(own):
    with pytest.raises(DialError, match=r"'sytem1' is no node; did you mean system1\?"):
        graph("humanoid", params_file=own("sytem1: {ros__parameters: {velocity_share: 0.1}}"))


def test_a_parameter_that_no_node_declares_is_refused_with_those_that_it_does(own):
    with pytest.raises(
        DialError, match=r"mine\.yaml: system1 has no parameter 'velocity_shar'; did you mean velocity_share\? Param.*max_jump"
    ):
        graph("humanoid", params_file=own("system1: {ros__parameters: {velocity_share: 0.1, velocity_shar: 0.1}}"))
    with pytest.raises(DialError, match=r"mine\.yaml: /\*\* has no parameter 'velocity_shar'; did you mean velocity_share\?"):
        graph("humanoid", params_file=own("/**: {ros__parameters: {velocity_shar: 0.1}}"))


def test_one_file_serves_graphs_with_and_without_a_guard(own):
    file = own(
        "guard: {ros__parameters: {transport: 0.03}}\nrecorder: {ros__parameters: {split_mb: 9}}\n/**: {ros__parameters: {deadman: 1.0}}"
    )
    assert graph("humanoid", params_file=file) == graph("humanoid")
    assert parameters("humanoid", "guard", guard=True, params_file=file)["transport"] == 0.03
    assert parameters("humanoid", "recorder", record=True, params_file=file)["split_mb"] == 9


def test_later_lines_take_precedence_as_in_rcl(own):
    file = own("system1: {ros__parameters: {velocity_share: 0.1, max_jump: 0.2}}\n/**: {ros__parameters: {velocity_share: 0.5}}")
    values = parameters("humanoid", "system1", params_file=file)
    assert (values["velocity_share"], values["max_jump"]) == (0.5, 0.2)


@pytest.mark.parametrize("text", ["0.25", "2.5e-1", "25e-2"])
def test_numbers_are_read_as_rcl_reads_them(own, text):
    values = parameters("humanoid", "system1", params_file=own(f"system1: {{ros__parameters: {{velocity_share: {text}}}}}"))
    assert values["velocity_share"] == 0.25


def test_a_whole_number_for_a_fraction_is_meant_as_one(own):
    value = parameters("humanoid", "system1", params_file=own("system1: {ros__parameters: {velocity_share: 1}}"))["velocity_share"]
    assert (type(value), value) == (float, 1.0)


@pytest.mark.parametrize(
    ("parameter", "text"),
    [("velocity_share", "slow"), ("velocity_share", "true"), ("flow_steps", "4.5"), ("limits_from", "3"), ("max_jump", "[1.0]")],
)
def test_a_value_of_another_type_is_refused(own, parameter, text):
    with pytest.raises(DialError, match=rf"mine\.yaml: {parameter} of system1 is .*; it takes a "):
        graph("humanoid", params_file=own(f"system1: {{ros__parameters: {{{parameter}: {text}}}}}"))


def test_a_parameter_that_the_graphs_arguments_decide_is_refused_unless_it_agrees(own):
    with pytest.raises(DialError, match=r"mine\.yaml: device of system1 has no effect: .* arguments .* 'cpu'"):
        graph("humanoid", params_file=own("system1: {ros__parameters: {device: cuda}}"))
    agreeing = own("/**: {ros__parameters: {use_sim_time: true}}")
    assert graph("sim", params_file=agreeing) == graph("sim"), "mujoco_robot makes the clock, the others follow it"
    with pytest.raises(DialError, match=r"use_sim_time of /\*\* has no effect"):
        graph("humanoid", params_file=agreeing)


def test_what_is_known_of_the_nodes_is_what_they_declare():
    nodes = {
        "system1": System1Node,
        "system2": System2Node,
        "guard": GuardNode,
        "mujoco_robot": MujocoRobotNode,
        "recorder": RecorderNode,
        "teleoperation": TeleoperationNode,
        "operator": page_parameters,
    }
    assert {name: node.PARAMETERS for name, node in nodes.items()} == DECLARED
    started = {node.name for nodes in (graph("sim", page=True, guard=True), graph("record"), graph("teleoperate")) for node in nodes}
    assert set(DECLARED) == started
