"""Programs around the nodes wait for a bounded time, report what they waited for, and end when the graph does."""

import contextlib
import os
import signal
from dataclasses import replace

import pytest
from rclpy.utilities import get_default_context
from std_srvs.srv import SetBool

from dial_core.errors import DialError
from dial_ros.bringup.graph import graph
from dial_ros.tools.client import ClientNode, free_domain, require_namespace, running

from .conftest import ENVIRONMENT

pytestmark = pytest.mark.ros


@pytest.fixture
def machine(monkeypatch, domain):
    """This process's environment in the module's domain; it is put back afterwards."""
    for name, value in (ENVIRONMENT | {"ROS_DOMAIN_ID": str(domain)}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def node(machine, tmp_path):
    with running([], "sim", tmp_path):
        node = ClientNode("waiting")
        yield node
        node.destroy_node()


def test_what_does_not_come_is_named_with_the_time_it_was_given(node):
    with pytest.raises(DialError, match="timed out after 0 s waiting for the moon"):
        node.wait_until(lambda: False, 0.1, "the moon")


def test_a_response_is_handed_back_and_a_refusal_of_a_command_is_an_error(node):
    def answer(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = request.data, "only if you say yes"
        return response

    node.create_service(SetBool, "agree", answer)
    assert node.command(SetBool, "agree", SetBool.Request(data=True)).success
    assert not node.call(SetBool, "agree", SetBool.Request(data=False)).success
    with pytest.raises(DialError, match="agree refused: only if you say yes"):
        node.command(SetBool, "agree", SetBool.Request(data=False))


def test_waiting_ends_when_a_required_node_does_with_its_last_words(machine, tmp_path):
    (recorder,) = graph("record", directory=str(tmp_path))
    broken = replace(recorder, parameters=recorder.parameters | {"embodiment": "nobody"})
    with running([broken], "record", tmp_path) as started:
        node = ClientNode("waiting", started.check_alive)
        with pytest.raises(DialError, match=r"(?s)node recorder ended with status 1\. The end of .*recorder\.log:.*nobody"):
            node.wait_until(lambda: False, 60.0, "the recorder")
        node.destroy_node()


def test_a_simulation_started_here_is_never_in_the_domain_of_the_shell(machine, domain, monkeypatch, tmp_path):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv("ROS_STATIC_PEERS", "192.0.2.1")
    shell = dict(os.environ)
    with running([], "sim", tmp_path):
        inside = dict(os.environ)
        assert get_default_context().get_domain_id() == int(inside["ROS_DOMAIN_ID"]) != domain
        assert inside["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
        assert "ROS_STATIC_PEERS" not in inside
    assert dict(os.environ) == shell


def test_a_domain_of_its_own_is_not_the_one_that_is_taken():
    drawn = {free_domain(taken=7) for _ in range(5000)}
    assert drawn == set(range(1, 102)) - {7}


def test_a_namespace_that_ros_does_not_take_is_refused_before_anything_starts(machine, tmp_path):
    with pytest.raises(DialError, match="namespace 'my-robot' is none of ROS"), running([], "sim", tmp_path, "my-robot"):
        pass
    for taken in ("", "lab", "/lab", "a/b/"):
        require_namespace(taken)


def test_an_interrupt_that_python_dropped_ends_the_next_wait(machine, tmp_path):
    with running([], "sim", tmp_path) as started:
        with contextlib.suppress(KeyboardInterrupt):  # as the callbacks around a fork do
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            started.check_alive()


def test_a_termination_ends_the_graph_in_order_and_the_handlers_are_put_back(machine, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), running([], "sim", tmp_path):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
