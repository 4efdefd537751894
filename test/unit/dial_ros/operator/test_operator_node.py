"""The page's node without ROS: what it asks the other nodes, and where it may listen.

pytest test/unit/dial_ros/operator/test_operator_node.py
"""

import secrets
from unittest.mock import Mock

import pytest
from rcl_interfaces.msg import ParameterType, ParameterValue

from dial_core.errors import DialError
from dial_ros.operator.operator_node import ReportedParameters, require_token
from dial_ros.operator.page_parameters import LIMITS


def test_parameters_are_asked_for_until_a_node_answers_with_them_and_then_renewed(monkeypatch):
    asked: dict[str, list] = {name: [] for name in ReportedParameters.ASKED}

    def client(node, name):
        return Mock(services_are_ready=lambda: name in there, get_parameters=lambda keys: asked[name].append(Mock()) or asked[name][-1])

    now_s, there = [100.0], {"system1"}
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
    for _ in range(10):
        ask()
        now_s[0] += 1.0
    assert len(asked["system1"]) == 2
    ask()
    assert len(asked["system1"]) == 3, "a parameter may have been set"
    changed = [ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=0.7)] * len(LIMITS)
    asked["system1"][-1].add_done_callback.call_args.args[0](Mock(result=lambda: Mock(values=changed)))
    assert reported.values == dict.fromkeys((f"system1/{key}" for key in LIMITS.values()), 0.7)
    there.clear()
    ask()
    there.add("system1")
    ask()
    assert len(asked["system1"]) == 4, "a node that is back may be another"


def test_other_machines_need_a_token():
    require_token("127.0.0.1", "")
    require_token("0.0.0.0", "a-long-token")
    with pytest.raises(DialError, match="set a token of at least 8 characters"):
        require_token("0.0.0.0", "short")


@pytest.mark.parametrize(
    "token", ["abcd;efgh12", "abcd efgh12", "p\u00e4sswoerter", "abc+def/ghi=", "abcd&efgh12", 'abc"def"gh', "a-long-token\n"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_that_an_address_or_a_cookie_would_change_is_refused_without_showing_it(host, token):
    with pytest.raises(DialError, match="characters other than A-Z a-z 0-9 _ and -") as refused:
        require_token(host, token)
    assert token not in str(refused.value)


def test_a_token_as_the_errors_suggest_is_taken():
    for _ in range(50):
        require_token("0.0.0.0", secrets.token_urlsafe(12))
