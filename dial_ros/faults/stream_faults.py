"""Faults of camera, joints and foresight, as data: what is spoilt, what must be told, and whether the robot must hold."""

from collections.abc import Callable
from dataclasses import dataclass

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults import spoilers
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.spoilers import Spoiler
from dial_ros.faults.stage import GraphUnderTest
from dial_ros.msg import System1Status
from dial_ros.tools.client import NotInTimeError

TOLD_LIMIT_S = 0.5
HORIZON_S = 0.8
REST_LIMIT_S = 1.6  # the horizon, and as long again for the slowest joint to brake
RECOVERY_LIMIT_S = 3.0
FAULT_S = 2.0  # how long a fault lasts that the robot works on through
LONG_AGO_S, FAR_AHEAD_S = -2.0, 2.0


@dataclass(frozen=True)
class StreamFault:
    """One stream spoilt for a while.

    Fields:
        stream: camera, joints or foresight.
        spoiler: makes what is done to its messages.
        tells: the diagnostic: `foresight:<reason>` or `input:<kind>` is a counter of System1Status, `words:<text>` a part of
            its reason or warning; empty: nothing needs to be told, the fault is none to System-1.
        holds: the robot must decelerate and hold until the fault is over; else it works on.
        quick: belongs to the short campaign.
    """

    name: str
    stream: str
    spoiler: Callable[[], Spoiler]
    tells: str = ""
    holds: bool = True
    quick: bool = True

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Spoils, watches, lets go, watches again."""
        relay, before = stage.saboteur.relays[self.stream], stage.system1
        relay.spoil(self.spoiler())
        stage.until(lambda: relay.first_spoilt_ns is not None, f"a message on {self.stream}")
        begin_ns = relay.first_spoilt_ns or 0
        if self.holds:
            _watch_hold(stage, outcome, begin_ns)
        else:
            stage.during(FAULT_S)
            others = {status.reason for status in stage.witness.statuses if status.state != System1Status.STATE_RUNNING}
            outcome.check("works on", not others, "; ".join(sorted(others)))
        if self.tells:
            outcome.told_after_s = told_after_s(stage.witness.statuses, before, self.tells, begin_ns)
            outcome.check_time(f"tells {self.tells}", outcome.told_after_s, TOLD_LIMIT_S)
        stage.saboteur.recover()
        watch_recovery(stage, outcome, stage.witness.now_ns)


def told_after_s(statuses: list[System1Status], before: System1Status, tells: str, begin_ns: int) -> float | None:
    """When a status first carried the diagnostic `tells` [s after `begin_ns`]; None: none did. `before`: what was counted before."""
    kind, what = tells.split(":", 1)
    for status in statuses:
        stamp_ns = to_ns(status.stamp)
        if stamp_ns >= begin_ns and _carries(status, before, kind, what):
            return (stamp_ns - begin_ns) / NANOSECONDS
    return None


def _carries(status: System1Status, before: System1Status, kind: str, what: str) -> bool:
    if kind == "words":
        return what in status.reason or what in status.warning
    names, counts = {
        "foresight": ("rejection_names", "rejection_counts"),
        "input": ("refused_input_names", "refused_input_counts"),
    }[kind]
    index = list(getattr(status, names)).index(what)
    return getattr(status, counts)[index] > getattr(before, counts)[index]


def _watch_hold(stage: GraphUnderTest, outcome: Outcome, begin_ns: int) -> None:
    """Waits for the hold and the rest after it; notes and checks when they came."""
    try:
        stage.until(lambda: stage.in_state(System1Status.STATE_HOLDING), "System-1 to hold")
        outcome.stopping_after_s = (to_ns(stage.system1.last_change) - begin_ns) / NANOSECONDS
        stage.until(lambda: stage.witness.rests_for_s() > 0.3, "the set-points to rest")
        outcome.resting_after_s = max((stage.witness.last_moved_ns - begin_ns) / NANOSECONDS, 0.0)
    except NotInTimeError as error:
        outcome.check("stops", False, str(error))
    outcome.check_time("decelerates", outcome.stopping_after_s, HORIZON_S)
    outcome.check_time("rests", outcome.resting_after_s, REST_LIMIT_S)


def watch_recovery(stage: GraphUnderTest, outcome: Outcome, begin_ns: int) -> None:
    """Waits until System-1 sends chunks again; notes and checks how long that took since `begin_ns`."""
    try:
        stage.until_chunks(1)
        running = stage.system1
        outcome.recovered_after_s = max((to_ns(running.stamp) - begin_ns) / NANOSECONDS, 0.0)
    except NotInTimeError as error:
        outcome.check("recovers", False, str(error))
    outcome.check_time("recovers", outcome.recovered_after_s, RECOVERY_LIMIT_S)


def _foresight(name: str, spoiler: Callable[[], Spoiler], reason: str, holds: bool = True) -> StreamFault:
    return StreamFault(f"foresight {name}", "foresight", spoiler, f"foresight:{reason}", holds)


STREAM_FAULTS: tuple[StreamFault, ...] = (
    _foresight("stale", lambda: spoilers.shifted_stamp(LONG_AGO_S), "stale"),
    _foresight("future-stamped", lambda: spoilers.shifted_stamp(FAR_AHEAD_S), "future"),
    _foresight("wrong uuid", lambda: spoilers.with_field("instruction_id", "another"), "instruction_id"),
    _foresight("NaN", spoilers.foresight_with_nan, "finite"),
    _foresight("wrong shape", spoilers.foresight_of_other_shape, "shape"),
    _foresight("wrong dtype", lambda: spoilers.with_field("dtype", "float16"), "dtype"),
    _foresight("other model", lambda: spoilers.with_field("model_id", "another"), "model_id"),
    _foresight("out of order", spoilers.out_of_order, "order", holds=False),
    _foresight("duplicated", spoilers.duplicated, "order", holds=False),
    StreamFault("foresight dropped", "foresight", spoilers.dropped, "words:foresight"),
    StreamFault("camera frozen", "camera", spoilers.frozen_picture, "input:image"),
    StreamFault("camera dropped", "camera", spoilers.dropped, "words:camera"),
    StreamFault("camera resized", "camera", spoilers.half_size, "input:image"),
    StreamFault("camera wrong encoding", "camera", lambda: spoilers.with_field("encoding", "32FC1"), "input:image"),
    StreamFault("joints missing", "joints", spoilers.without_first_joint, "input:joint_states"),
    StreamFault("joints dropped", "joints", spoilers.dropped, "words:joint_states"),
    StreamFault("joints NaN", "joints", spoilers.joint_with_nan, "input:joint_states"),
    StreamFault("joints reordered", "joints", spoilers.reversed_joints, holds=False),
    StreamFault("joints extra", "joints", spoilers.extra_joint, holds=False),
)
