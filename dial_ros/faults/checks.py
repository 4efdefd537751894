"""What faults are checked for: what System-1 reports and when, that the robot rests and stays at rest, and that it recovers."""

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults.graph_under_test import GraphUnderTest
from dial_ros.faults.outcome import Outcome
from dial_ros.msg import System1Status
from dial_ros.node.states import SYSTEM1_STATES
from dial_ros.tools.client import NotInTimeError

REPORT_LIMIT_S = 0.5
HORIZON_S = 0.8
REST_LIMIT_S = 1.6  # the horizon, and as long again for the slowest joint to brake
RECOVERY_LIMIT_S = 3.0


def reported_after_s(statuses: list[System1Status], before: System1Status, diagnostic: str, begin_ns: int) -> float | None:
    """When a status first carried `diagnostic` [s after `begin_ns`]; None: none did. `before`: the counters before the fault."""
    kind, what = diagnostic.split(":", 1)
    for status in statuses:
        stamp_ns = to_ns(status.stamp)
        if stamp_ns >= begin_ns and _carries(status, before, kind, what):
            return (stamp_ns - begin_ns) / NANOSECONDS
    return None


def _carries(status: System1Status, before: System1Status, kind: str, what: str) -> bool:
    if kind == "text":
        return what in status.reason or what in status.warning
    names, counts = {
        "foresight": ("rejection_names", "rejection_counts"),
        "input": ("refused_input_names", "refused_input_counts"),
    }[kind]
    index = list(getattr(status, names)).index(what)
    return getattr(status, counts)[index] > getattr(before, counts)[index]


def check_report(graph: GraphUnderTest, outcome: Outcome, begin_ns: int, state: int, limit_s: float, *named: str) -> None:
    """Waits until System-1 is in `state` for a reason that names what is at fault; records and checks how long that took."""
    what = " ".join([f"System-1 to be {SYSTEM1_STATES[state]}", *(f"and to name {name}" for name in named)])
    graph.until(lambda: graph.reports(state, *named), what)
    outcome.reported_after_s = (graph.monitor.now_ns - begin_ns) / NANOSECONDS
    outcome.check_time("reports", outcome.reported_after_s, limit_s)


def rest_after_s(graph: GraphUnderTest, begin_ns: int, still_s: float = 0.3, limit_s: float = 20.0) -> float:
    """Waits until the set-points have stood still for `still_s`; when they last moved [s after `begin_ns`]."""
    graph.until_resting(still_s, limit_s)
    return max((graph.monitor.last_moved_ns - begin_ns) / NANOSECONDS, 0.0)


def check_stays(graph: GraphUnderTest, outcome: Outcome, seconds: float) -> None:
    """Checks that the set-points stand still, and that System-1 publishes no chunk, for `seconds`."""
    moved_ns, chunks = graph.monitor.last_moved_ns, graph.system1.published_chunks
    graph.during(seconds)
    outcome.check("stays at rest", graph.monitor.last_moved_ns == moved_ns)
    outcome.check("publishes no chunk", graph.system1.published_chunks == chunks)


def check_hold(graph: GraphUnderTest, outcome: Outcome, begin_ns: int) -> None:
    """Waits for the hold and the rest after it; records and checks their times."""
    try:
        graph.until(lambda: graph.in_state(System1Status.STATE_HOLDING), "System-1 to hold")
        outcome.stopping_after_s = (to_ns(graph.system1.last_change) - begin_ns) / NANOSECONDS
        outcome.resting_after_s = rest_after_s(graph, begin_ns, limit_s=10.0)
    except NotInTimeError as error:
        outcome.check("stops", False, str(error))
    outcome.check_time("decelerates", outcome.stopping_after_s, HORIZON_S)
    outcome.check_time("rests", outcome.resting_after_s, REST_LIMIT_S)


def check_recovery(graph: GraphUnderTest, outcome: Outcome, begin_ns: int) -> None:
    """Waits until System-1 publishes chunks again; records and checks how long that took since `begin_ns`."""
    try:
        graph.until_chunks(1)
        running = graph.system1
        outcome.recovered_after_s = max((to_ns(running.stamp) - begin_ns) / NANOSECONDS, 0.0)
    except NotInTimeError as error:
        outcome.check("recovers", False, str(error))
    outcome.check_time("recovers", outcome.recovered_after_s, RECOVERY_LIMIT_S)
