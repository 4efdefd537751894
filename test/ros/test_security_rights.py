"""What the nodes of a person's enclave make and use is what the SROS2 policy allows them: with one service denied, DDS makes no node.

pytest test/ros/test_security_rights.py
"""

from fnmatch import fnmatch

import pytest
import rclpy

from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.security import rights
from dial_ros.operator.operator_node import OperatorNode
from dial_ros.tools.client import ClientNode
from dial_ros.tools.operate import OperatorShell

from .conftest import ENVIRONMENT, START_S

pytestmark = pytest.mark.ros
ALLOWED = rights(load_embodiment("gr1"), guarded=True)["operator"]
NODES = {
    "page": OperatorNode,
    "dial": OperatorShell,
    "dial_record": lambda: ClientNode("record_operator"),
    "ros2_service_call": lambda: rclpy.create_node("_ros2cli_requester_std_srvs_Trigger"),  # as ros2service names it
}


@pytest.fixture
def initialised(domain, monkeypatch, tmp_path):
    for name, value in (ENVIRONMENT | {"ROS_LOG_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    rclpy.init(domain_id=domain)
    yield
    rclpy.shutdown()


@pytest.mark.parametrize("name", NODES)
def test_a_person_may_use_all_that_the_programs_for_it_make(name, initialised, probe):
    node = NODES[name]()
    own = node.get_name(), node.get_namespace()
    probe.until(lambda: node.get_service_names_and_types_by_node(*own), "the node's own services", START_S)
    made = {
        "publish": node.get_publisher_names_and_types_by_node(*own),
        "subscribe": node.get_subscriber_names_and_types_by_node(*own),
        "reply": node.get_service_names_and_types_by_node(*own),
        "request": node.get_client_names_and_types_by_node(*own),
    }
    node.destroy_node()
    denied = {
        f"{kind} {used}"
        for kind, endpoints in made.items()
        for used, _ in endpoints
        if not any(fnmatch(used, f"/{allowed.lstrip('/')}") for allowed in getattr(ALLOWED, kind))
    }
    assert not denied
    assert made["reply"]
