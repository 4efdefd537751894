"""Faults of camera, joint states and foresight: what is corrupted, what must be reported, and whether the robot must hold."""

from collections.abc import Callable
from dataclasses import dataclass

from dial_ros.faults import corruptions
from dial_ros.faults.checks import REPORT_LIMIT_S, check_hold, check_recovery, reported_after_s
from dial_ros.faults.corruptions import Corruption
from dial_ros.faults.graph_under_test import RUNNING, GraphUnderTest
from dial_ros.faults.outcome import Outcome

FAULT_S = 2.0  # duration of a fault during which the robot continues
LONG_AGO_S, FAR_AHEAD_S = -2.0, 2.0


@dataclass(frozen=True)
class StreamFault:
    """One stream corrupted for a while.

    Fields:
        stream: camera, joints or foresight.
        corruption: makes the corruption of its messages.
        reports: the diagnostic: `foresight:<reason>` or `input:<kind>` is a counter of System1Status, `text:<text>` a part of its
            reason or warning; empty: none, System-1 accepts such messages.
        holds: the robot must decelerate and hold until the fault is over; else it continues.
        quick: belongs to the short campaign.
    """

    name: str
    stream: str
    corruption: Callable[[], Corruption]
    reports: str = ""
    holds: bool = True
    quick: bool = True

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Corrupts the stream, checks the reaction, ends the fault, checks the recovery."""
        relay, before = graph.injector.relays[self.stream], graph.system1
        relay.corrupt(self.corruption())
        graph.until(lambda: relay.first_corrupted_ns is not None, f"a message on {self.stream}")
        begin_ns = relay.first_corrupted_ns or 0
        if self.holds:
            check_hold(graph, outcome, begin_ns)
        else:
            graph.during(FAULT_S)
            others = {status.reason for status in graph.monitor.statuses if status.state != RUNNING}
            outcome.check("continues", not others, "; ".join(sorted(others)))
        if self.reports:
            outcome.reported_after_s = reported_after_s(graph.monitor.statuses, before, self.reports, begin_ns)
            outcome.check_time(f"reports {self.reports}", outcome.reported_after_s, REPORT_LIMIT_S)
        graph.injector.recover()
        check_recovery(graph, outcome, graph.monitor.now_ns)


def _foresight(name: str, corruption: Callable[[], Corruption], reason: str, holds: bool = True) -> StreamFault:
    return StreamFault(f"foresight {name}", "foresight", corruption, f"foresight:{reason}", holds)


STREAM_FAULTS: tuple[StreamFault, ...] = (
    _foresight("stale", lambda: corruptions.shifted_stamp(LONG_AGO_S), "stale"),
    _foresight("future-stamped", lambda: corruptions.shifted_stamp(FAR_AHEAD_S), "future"),
    _foresight("wrong uuid", lambda: corruptions.with_field("instruction_id", "another"), "instruction_id"),
    _foresight("NaN", corruptions.foresight_with_nan, "finite"),
    _foresight("wrong shape", corruptions.foresight_of_other_shape, "shape"),
    _foresight("wrong dtype", lambda: corruptions.with_field("dtype", "float16"), "dtype"),
    _foresight("other model", lambda: corruptions.with_field("model_id", "another"), "model_id"),
    _foresight("out of order", corruptions.out_of_order, "order", holds=False),
    _foresight("duplicated", corruptions.duplicated, "order", holds=False),
    StreamFault("foresight dropped", "foresight", corruptions.dropped, "text:foresight"),
    StreamFault("camera frozen", "camera", corruptions.frozen_image, "input:image"),
    StreamFault("camera dropped", "camera", corruptions.dropped, "text:camera"),
    StreamFault("camera resized", "camera", corruptions.half_size, "input:image"),
    StreamFault("camera wrong encoding", "camera", lambda: corruptions.with_field("encoding", "32FC1"), "input:image"),
    StreamFault("joints missing", "joints", corruptions.without_first_joint, "input:joint_states"),
    StreamFault("joints dropped", "joints", corruptions.dropped, "text:joint_states"),
    StreamFault("joints NaN", "joints", corruptions.joint_with_nan, "input:joint_states"),
    StreamFault("joints reordered", "joints", corruptions.reversed_joints, holds=False),
    StreamFault("joints extra", "joints", corruptions.extra_joint, holds=False),
)
