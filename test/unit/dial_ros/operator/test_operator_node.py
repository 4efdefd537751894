"""The page's node without ROS: what it asks the other nodes, and where it may listen.

pytest test/unit/dial_ros/operator/test_operator_node.py
"""

from unittest.mock import Mock

import pytest
from rcl_interfaces.msg import ParameterType, ParameterValue

from dial_core.errors import DialError
from dial_ros.operator.operator_node import ReportedParameters, require_token
from dial_ros.operator.page_parameters import LIMITS


def test_parameters_are_asked_for_until_a_node_answers_with_them(monkeypatch):
    asked: dict[str, list] = {name: [] for name in ReportedParameters.ASKED}

    def client(node, name):
        return Mock(services_are_ready=lambda: name == "system1", get_parameters=lambda keys: asked[name].append(Mock()) or asked[name][-1])

    now_s = [100.0]
    monkeypatch.setattr("dial_ros.operator.operator_node.AsyncParameterClient", client)
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    reported = ReportedParameters(node := Mock())
    ask = node.create_timer.call_args.args[1]
    for _ in range(7):
        ask()
        now_s[0] += 1.0
    assert len(asked["system1"]) == 2, "the first answer was lost"
    lost, answered = (future.add_done_callback.call_args.args[0] for future in asked["system1"])
    lost(Mock(result=lambda: Mock(values=[])))
    assert reported.values == {}
    limits = [ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=0.5)] * len(LIMITS)
    answered(Mock(result=lambda: Mock(values=limits)))
    assert reported.values == dict.fromkeys((f"system1/{key}" for key in LIMITS.values()), 0.5)
    now_s[0] += 60.0
    ask()
    assert len(asked["system1"]) == 2


def test_other_machines_need_a_token():
    require_token("127.0.0.1", "")
    require_token("0.0.0.0", "a-long-token")
    with pytest.raises(DialError, match="set a token of at least 8 characters"):
        require_token("0.0.0.0", "short")
