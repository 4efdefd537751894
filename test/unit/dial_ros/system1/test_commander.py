"""Which controllers execute nothing: by their topics, and not by who else subscribes to them.

pytest test/unit/dial_ros/system1/test_commander.py
"""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from dial_core.robot.embodiment import load_embodiment
from dial_ros.node.dry_run import is_aside
from dial_ros.node.lifecycle import DialNode
from dial_ros.system1.commander import Commander

GR1 = load_embodiment("gr1")
NAMES = {controller.name for controller in GR1.controllers}


def commander(namespace="", prefix="", subscribers=0):
    """A commander whose topics lie below `prefix`, as remapped, with so many subscribers each."""
    node = Mock(spec=DialNode)
    node.get_namespace.return_value = f"/{namespace}"
    node.create_publisher.side_effect = lambda kind, topic, profile: SimpleNamespace(
        topic_name=f"/{namespace}/{prefix}{topic}".replace("//", "/"), get_subscription_count=lambda: subscribers
    )
    return Commander(node, GR1, Mock(), Mock())


@pytest.mark.parametrize("namespace", ["", "left", "lab/left"])
def test_in_a_dry_run_an_observer_is_no_controller(namespace):
    observed = commander(namespace, "dry_run/", subscribers=2)
    assert observed.unsubscribed_controllers == NAMES
    assert len(observed.unsubscribed) == len(NAMES)
    assert commander(namespace, "guarded/", subscribers=1).unsubscribed_controllers == set()
    assert commander(namespace, "", subscribers=0).unsubscribed_controllers == NAMES


def test_what_lies_aside():
    assert is_aside("dry_run/arm/joint_trajectory")
    assert is_aside("/dry_run/arm/joint_trajectory", "/left"), "an absolute name in `controllers:=`"
    assert is_aside("/left/dry_run/arm/joint_trajectory", "/left")
    assert not is_aside("/left/dry_run/arm/joint_trajectory", "/right")
    assert not is_aside("arm/dry_run/joint_trajectory", "/")
    assert not is_aside("dry_running/arm")
