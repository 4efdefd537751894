"""The answers of the operator's services say what happened, also where nothing could be sent."""

from threading import RLock
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from std_srvs.srv import SetBool, Trigger

from dial_core.control.arming import Arming, Effect, Input, State
from dial_core.finiteness import NotFiniteError
from dial_ros.system1.operator_services import OperatorServices


class ServiceBench:
    """The services of a System-1 that runs; `holds` stands for what the plan does when a hold is asked for."""

    def __init__(self, holds, commanded=True, active=True):
        self.arming, self.plan = Arming(), SimpleNamespace(hold_owed=False, running=object() if commanded else None)
        if active:
            self.arming.activate(0)
            self.arming.instruct("a", 0)
            self.arming.update({"camera": Input(0.0, 1.0)}, 0)
        node = Mock()
        node.now_ns.return_value, node.active = 1, active
        self._holds = holds
        self._services = OperatorServices(node, self.arming, RLock(), self._carry_out, self.plan)

    def _carry_out(self, effect):
        if Effect.HOLD in effect:
            self._holds(self.plan)

    def estop(self):
        return self._services._on_estop(Trigger.Request(), Trigger.Response())

    def pause(self):
        return self._services._on_pause(SetBool.Request(data=True), SetBool.Response())


def published(plan):
    """The hold goes out."""


def owed(plan):
    plan.hold_owed = True


def failing(plan):
    raise NotFiniteError("positions: 1 of 29 values are not finite")


def test_a_stop_that_was_sent_is_answered_so():
    answer = ServiceBench(published).estop()
    assert answer.success
    assert answer.message == "stopped; latched until system1/reset_estop and a new instruction"


@pytest.mark.parametrize(
    ("bench", "words"),
    [
        (lambda: ServiceBench(owed), "no deceleration is sent yet: the robot's clock is not known"),
        (lambda: ServiceBench(published, commanded=False), "nothing was sent, as System-1 has commanded no motion"),
        (lambda: ServiceBench(published, active=False), "nothing was sent, as System-1 is not active"),
    ],
)
def test_a_stop_by_which_nothing_was_sent_is_answered_with_why_and_latched(bench, words):
    bench = bench()
    answer = bench.estop()
    assert answer.success
    assert answer.message.startswith("latched until system1/reset_estop and a new instruction, but ")
    assert words in answer.message
    assert bench.arming.stopped


def test_a_stop_that_cannot_be_computed_is_answered_and_latched():
    bench = ServiceBench(failing)
    answer = bench.estop()
    assert not answer.success
    assert "the deceleration could not be computed: positions: 1 of 29 values are not finite" in answer.message
    assert bench.arming.stopped


def test_a_pause_whose_hold_is_owed_says_so():
    assert ServiceBench(published).pause().message == "paused: paused on request"
    assert "no deceleration is sent yet" in ServiceBench(owed).pause().message


def test_a_pause_whose_deceleration_cannot_be_computed_is_answered_so_and_stays():
    bench = ServiceBench(failing)
    answer = bench.pause()
    assert not answer.success
    assert answer.message.startswith("paused: paused on request; the deceleration could not be computed: positions: 1 of 29 values")
    assert bench.arming.state is State.PAUSED
