"""The user's own parameters beside those of config/nodes/.

pytest test/unit/dial_ros/bringup/test_parameter_files.py
"""

import random

import pytest
from rclpy.context import Context
from rclpy.node import Node

from dial_core.config import config_path
from dial_core.errors import DialError
from dial_ros.bringup.graph import graph


def test_the_users_parameters_count_for_the_lead_that_the_guard_needs_too(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text(
        "/left/guard: {ros__parameters: {transport: 0.1, controller_period: 0.02}}\n/**: {ros__parameters: {velocity_share: 0.1}}"
    )
    nodes = {node.name: node for node in graph("humanoid", guard="true", params_file=str(own))}
    assert nodes["system1"].parameters["splice_lead"] == 0.172
    assert {node.own_file for node in nodes.values()} == {own}
    own.write_text("system1: {ros__parameters: {splice_lead: 0.3}}")
    assert {n.name: n for n in graph("humanoid", guard="true", params_file=str(own))}["system1"].parameters["splice_lead"] == 0.3


@pytest.mark.parametrize("content", ["splice_lead: 0.1", "system1: {splice_lead: 0.1}", "- 3", "{", ""])
def test_a_parameter_file_that_is_none_is_refused_with_what_it_should_have(tmp_path, content):
    own = tmp_path / "mine.yaml"
    own.write_text(content)
    with pytest.raises(DialError, match=r"params_file: .*mine\.yaml (cannot be read|does not have for each node)"):
        graph("sim", params_file=str(own))
    with pytest.raises(DialError, match=r"params_file: .*absent\.yaml cannot be read"):
        graph("sim", params_file=str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize("node", ["system1", "/**", "/system1"])
def test_rcl_gives_a_node_the_users_values_instead_of_ours(tmp_path, node):
    own, context = tmp_path / "mine.yaml", Context()
    own.write_text(f"{node}: {{ros__parameters: {{velocity_share: 0.25}}}}")
    files = ["--params-file", str(config_path("nodes", "system1")), "--params-file", str(own)]
    context.init(args=["--ros-args", *files], domain_id=random.randint(1, 200))
    try:
        started = Node("system1", context=context, automatically_declare_parameters_from_overrides=True)
        assert started.get_parameter("velocity_share").value == 0.25
        assert started.get_parameter("splice_lead").value == 0.05
        started.destroy_node()
    finally:
        context.shutdown()
