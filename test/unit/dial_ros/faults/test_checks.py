"""What a row of the campaign checks beside another process: a hold for late inputs is the machine's fault only if it is busy."""

from types import SimpleNamespace

import pytest

from dial_ros.faults import checks
from dial_ros.faults.checks import check_undisturbed
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status

OLD = "camera 0.61 s old (limit 0.50 s)"
RUNNING, HOLDING, DISARMED = System1Status.STATE_RUNNING, System1Status.STATE_HOLDING, System1Status.STATE_DISARMED


@pytest.mark.parametrize(
    ("busy", "states", "held", "recovered"),
    [
        (0, [(RUNNING, "")], True, False),
        (0, [(RUNNING, ""), (HOLDING, OLD)], False, False),
        (10, [(RUNNING, "")], True, False),
        (10, [(HOLDING, OLD), (RUNNING, "")], True, True),
        (10, [(HOLDING, "two nodes publish /clock")], False, False),
        (10, [(HOLDING, OLD), (DISARMED, OLD)], False, False),
    ],
)
def test_beside_another_process_system1_may_hold_only_for_late_inputs_on_a_busy_machine(monkeypatch, busy, states, held, recovered):
    asked = []
    monkeypatch.setattr(checks, "check_recovery", lambda graph, outcome, begin_ns: asked.append(begin_ns))
    statuses = [SimpleNamespace(state=state, reason=reason) for state, reason in states]
    outcome = Outcome("row", busy_processes=busy)
    check_undisturbed(SimpleNamespace(monitor=SimpleNamespace(statuses=statuses, now_ns=7)), outcome)
    assert [check.held for check in outcome.checks] == [held]
    assert asked == ([7] if recovered else [])
