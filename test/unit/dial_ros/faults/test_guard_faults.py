"""A row of the campaign with the guard passes only if the guard passes trajectories.

pytest test/unit/dial_ros/faults/test_guard_faults.py
"""

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from dial_ros.faults.guard_faults import GuardReports, check_passes
from dial_ros.faults.outcome import Outcome
from dial_ros.tools.client import NotInTimeError


def report(state, passed):
    values = [KeyValue(key="state", value=state), KeyValue(key="passed", value=str(passed))]
    return DiagnosticArray(status=[DiagnosticStatus(name="/system1"), DiagnosticStatus(name="/guard", values=values)])


class ReportedGraph:
    """Stands for the graph: while somebody waits, the guard's reports arrive, and then no more."""

    def __init__(self, messages):
        self.reports, self._messages = GuardReports(), iter(messages)

    def until(self, condition, what, limit_s):
        while not condition():
            if (message := next(self._messages, None)) is None:
                raise NotInTimeError(what)
            self.reports.on_diagnostics(message)


@pytest.mark.parametrize(
    ("messages", "held"),
    [
        ([report("passing", 7), report("passing", 8)], True),
        ([report("passing", 7), report("passing", 7)], False),
        ([report("stopped", 7), report("stopped", 7)], False),
        ([report("stopped", 7), report("passing", 8)], True),
        ([report("passing", 7), report("stopped", 9)], False),
        ([], False),
    ],
)
def test_the_guard_must_pass_trajectories_and_not_be_stopped(messages, held):
    graph, outcome = ReportedGraph(messages), Outcome("row")
    check_passes(graph, outcome, graph.reports, "afterwards")
    assert outcome.passed is held
