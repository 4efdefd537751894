import subprocess
import sys
from unittest.mock import Mock

import pytest

from dial_ros.node import process
from dial_ros.node.lifecycle import Unfinished

PROGRAM = """
import time
from dial_ros.node import process

class Node:
    active = False
    def release(self): print("released", flush=True)
    def destroy_node(self): time.sleep(60)

class Executor:
    def shutdown(self): pass

process.GOODBYE_S = 0.2
process._end(Node(), Executor())
"""

REFUSED = """
import time
from dial_ros.node import process

def make_node():
    raise ValueError("camera_timeout is no number")

process.GOODBYE_S = 0.2
process.rclpy.shutdown = lambda: time.sleep(60)
process.run(make_node)
"""


def test_a_node_that_cannot_start_ends_although_the_middleware_does_not_come_down():
    ended = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert "camera_timeout is no number" in ended.stderr
    assert "process.py" in ended.stderr, "where it hung is reported"


def test_a_middleware_that_does_not_come_down_does_not_keep_the_process():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert ended.stdout == "released\n"
    assert "destroy_node" in ended.stderr, "where it hung is reported"


@pytest.fixture
def clock(monkeypatch):
    """Time [s] that only a test advances: clock[0]."""
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    return now_s


def working(*left: float | None) -> Mock:
    """A node whose unfinished work is `left` at each further question, and at last stays so."""
    answers = list(left)

    def unfinished() -> Unfinished | None:
        rest = answers.pop(0) if len(answers) > 1 else answers[0]
        return None if rest is None else Unfinished("the bag", rest)

    return Mock(unfinished=unfinished)


def complete(node: Mock, clock: list[float], stop: list[float]) -> float:
    """Lets a node complete its work, a second of time at a spin; returns how long that took [s]."""
    begun_s = clock[0]

    def spin(timeout_sec: float) -> None:
        clock[0] += 1.0

    process._complete(node, Mock(spin_once=spin), stop)
    return clock[0] - begun_s


def test_a_node_ends_when_its_work_is_done_however_long_that_takes(clock):
    node = working(*range(500, 0, -1), None)
    assert complete(node, clock, [100.0]) == 500.0
    node.give_up.assert_not_called()


def test_work_that_does_not_advance_is_given_up(clock):
    node = working(5.0, 4.0)
    assert complete(node, clock, [100.0]) == pytest.approx(process.STALLED_S, abs=3.0)
    node.give_up.assert_called_once()
    assert "nothing has advanced" in node.get_logger().error.call_args.args[0]


@pytest.mark.parametrize(("signals_s", "ends_at_once"), [([100.0, 100.5], False), ([90.0, 100.0], True)])
def test_a_second_signal_ends_at_once_but_two_of_one_moment_are_one(clock, signals_s, ends_at_once):
    node = working(3.0, 2.0, 1.0, None)
    assert complete(node, clock, signals_s) == (0.0 if ends_at_once else 3.0)
    assert node.give_up.called is ends_at_once


def test_a_node_is_shut_down_although_its_last_work_fails(monkeypatch):
    ended = Mock()
    for name in ("rclpy", "SingleThreadedExecutor", "signal"):
        monkeypatch.setattr(process, name, Mock())
    monkeypatch.setattr(process, "_end", ended)
    node = Mock(
        failure="the camera is gone", value=Mock(return_value=False), unfinished=Mock(side_effect=OSError("No space left on device"))
    )
    with pytest.raises(OSError, match="No space left"):
        process.run(lambda: node)
    ended.assert_called_once()
