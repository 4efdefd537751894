"""The commanded motion over time: overlap strategy, splice, limits and timing, without ROS. Nodes and benchmarks share it.

A controller plays a new trajectory from the moment it is updated with it, wherever its set-points were. So the new motion repeats
the running one until `takes_over`, and must be there by then: one that arrives later makes the set-points jump. What System-1
does itself (splicing, serialising) is finished before anything is published, and a motion that could not keep the lead is
spliced again, later. What remains is the transport to the controllers and one period of theirs: the lead is kept for that.

All times are the robot's (see `robot_clock`). While its clock is unknown nothing is published: chunks are dropped, and a hold is
owed until the clock is known again. What the controllers play meanwhile ends at rest by itself.
"""

from collections.abc import Callable, Collection
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.joint_limits import Clamps, Guard
from dial_core.control.latencies import LEAD_MARGIN_SHARE, LONGEST_LEAD_S
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_start import start_of, without_servo_error
from dial_core.control.overlap import Committed, make_overlap
from dial_core.control.robot_clock import STEP_S
from dial_core.control.send_conditions import (
    JUMP_S,
    MotionStartingError,
    SpliceMissedError,
    keeps_lead,
    require_joints_where_reported,
    require_known,
    require_known_execution,
    require_no_step_back,
    require_past,
)
from dial_core.control.splice import hold, reaching_back, splice
from dial_core.control.splice_timing import SOFT_START_S, SpliceTiming

SPLICE_LEAD_S = 0.05  # kept for the transport, unless a robot's own parameter says otherwise
ATTEMPTS = 3  # to have a motion ready in time
HOLD_HISTORY_S = STEP_S + 0.1  # a hold begins so long before now: its first point is past even if the clock is ahead by almost a step
PAST_S = 0.01  # a chunk that was observed after the time that the robot has shown begins so long before that time


class Outlet(Protocol):
    """The connection to the controllers."""

    def now_ns(self) -> int | None:
        """What the controllers' clock shows now [ns], as fresh as can be; None while that is not known."""

    def prepare(self, motion: JointMotion, without: Collection[str] = ()) -> Callable[[], None]:
        """Does everything that takes time; the returned function only publishes. Controllers in `without` are sent nothing."""


@dataclass(frozen=True)
class Sent:
    """A published motion: when it was sent [ns], when it takes over [ns], and which limits moved its targets."""

    sent_ns: int
    takes_over_ns: int
    clamps: Clamps


class MotionPlan:
    """What the controllers play, and what follows it. Callers keep to one thread at a time."""

    def __init__(
        self, joints: slice, step_s: float, guard: Guard, lead_s: float, strategy: str, execution: ExecutedMotion | None = None
    ) -> None:
        """Nothing is commanded yet.

        Args:
            joints: their columns in an action.
            lead_s: time from publishing a motion to its taking over [s]; more is kept where controllers report that they need more.
            execution: what the controllers execute, where that is known.
        """
        self.guard, self.execution = guard, execution
        self.timing = SpliceTiming(lead_s, step_s, execution)
        self.running: JointMotion | None = None
        self.hold_owed = False  # a hold was asked for while it could not be computed or published
        self._holds = False  # the last motion that was sent is a hold
        self._released = False  # see `release`
        self._starts_ns = 0  # before this time no point is sent: controllers come from what they were commanded, which is not known
        self._joints, self._step_s = joints, step_s
        self._overlap = make_overlap(strategy, step_s)

    def committed(self, stamp_ns: int) -> Committed | None:
        """What the chunk of the observation at `stamp_ns` must agree with, if the strategy asks for it."""
        return self._overlap.committed(stamp_ns, self.timing.estimated_delay_s)

    def follow(self, chunk: np.ndarray, stamp_ns: int, measured: np.ndarray, outlet: Outlet) -> Sent:
        """Splices a chunk (H, A) into the running motion and publishes the result.

        Where no commanded motion is known, it starts from what controllers report, or else the measured joints. Controllers stand at what
        they were commanded, which differs by the servos' error: a point of the past would be a step. So the first point then lies
        SOFT_START_S ahead, and the controllers come to it by themselves, from rest to rest. The same after every rest, when the latency
        may have grown unmeasured.

        Args:
            stamp_ns: time of the chunk's observation.
            measured: joints at that time (J,) [rad]: where the motion starts if none was commanded before, or if a joint (fingers
                excepted) rests elsewhere than it was commanded to, and no controller reports where it stands.

        Raises:
            ChunkTooLateError: all targets are past.
            MotionStartingError: the points of a motion from the measured joints all lie ahead still.
            SpliceMissedError: it could not be made ready in time, its stamp is ahead of the robot's clock, that clock is unknown or was
                set back meanwhile, or what controllers execute is not known, or is not where the joints are.
            After either nothing was sent, and nothing has changed but the measured durations.
        """
        begun_ns = require_known(outlet.now_ns())
        require_past(stamp_ns, begun_ns)
        if not self._passed(self._starts_ns, begun_ns):
            raise MotionStartingError("the motion from the measured joints is about to begin; the chunk is not sent")
        self._require_pace(begun_ns)
        if self.execution is not None:
            require_known_execution(self.execution, begun_ns)
        self._forget_if_released(begun_ns)
        commanded = self._executed(begun_ns)
        end_ns = 0 if commanded is None else commanded.end_ns
        ended, rests = begun_ns >= end_ns, self._passed(end_ns, begun_ns)  # by the estimated time, and certainly
        if ended and not rests and not self._passed(stamp_ns, begun_ns):
            raise SpliceMissedError("the robot has not shown yet that it rests, nor the time of the observation; the chunk is not sent")
        references = np.full(len(measured), np.nan) if self.execution is None else self.execution.references(begun_ns)
        stands, reported = (without_servo_error(joints, self.guard) for joints in (measured, references))
        running = start_of(commanded, stamp_ns, stands, reported, None if self.execution is None else self.execution.fingers)
        moves = running is commanded and not rests
        if self.execution is not None and not moves:
            require_joints_where_reported(self.execution)
        soft_ns = 0 if moves else round(SOFT_START_S * NANOSECONDS)
        if self.execution is not None and (ended or not moves):
            self.execution.latencies.begin_cautiously()
        overlap = copy(self._overlap)
        last_ns = stamp_ns + round(len(chunk) * self._step_s * NANOSECONDS)
        lead_s = self.timing.lead_s if moves else self.timing.lead_from_rest_s(begun_ns, last_ns)
        takes_over_ns = self.timing.takes_over_ns(begun_ns, lead_s) + soft_ns
        targets = overlap.targets(stamp_ns, chunk, takes_over_ns)[:, self._joints]
        for _ in range(ATTEMPTS):
            motion, clamps = splice(running, targets, stamp_ns, takes_over_ns, self._step_s, self.guard, measured)
            if moves:
                motion = self._with_first_point_past(motion, running, begun_ns)
            publish = outlet.prepare(motion.beginning_at(motion.offset_s(takes_over_ns)) if soft_ns else motion)
            ready_ns = require_known(outlet.now_ns())
            require_no_step_back(begun_ns, ready_ns)
            self.timing.note_preparation(begun_ns, ready_ns)
            if keeps_lead(lead_s, ready_ns, takes_over_ns):
                publish()
                self.running, self._overlap, self.hold_owed = motion, overlap, False
                self._starts_ns = takes_over_ns if soft_ns else self._starts_ns
                self._holds = self._released = False
                self.timing.note_chunk(stamp_ns, ready_ns)
                self._note_sent(motion, ready_ns, takes_over_ns)
                return Sent(ready_ns, takes_over_ns, clamps)
            begun_ns, takes_over_ns = ready_ns, self.timing.takes_over_ns(ready_ns, lead_s) + soft_ns
        raise SpliceMissedError(f"splicing and serialising took too long {ATTEMPTS} times in a row; the running motion continues")

    def hold(self, outlet: Outlet, repeated: bool = False) -> JointMotion | None:
        """Decelerates what runs and drops what earlier chunks intended.

        None: nothing was published, because nothing was commanded before, or because the robot's clock is unknown or a controller that
        may have missed trajectories has not reported what it executes now. Then a hold is owed (`hold_owed`), and after an error too:
        call again soon.

        `repeated`: for those that lost the one before (`hold_missed`); what may have it is sent nothing, which could be a step.
        """
        self._overlap.reset()
        self._forget_if_released(outlet.now_ns())
        self.hold_owed = self.running is not None
        if self.running is None:
            return None
        for attempt in range(1, ATTEMPTS + 1):
            begun_ns = outlet.now_ns()
            if begun_ns is None or self._in_doubt(begun_ns):
                break
            lead_s = self.timing.stop_lead_s(begun_ns)  # once: what is pending grows while this is prepared, and would never be left
            takes_over_ns = max(self.timing.takes_over_ns(begun_ns, lead_s), self._starts_ns)
            if self.execution is not None and self.execution.awaits_report(begun_ns, takes_over_ns):
                break
            origin_ns = self._distinct_origin_ns(begun_ns - round(HOLD_HISTORY_S * NANOSECONDS))
            motion = hold(self._executed(begun_ns) or self.running, origin_ns, takes_over_ns, self.guard)
            begun = self._starts_ns <= origin_ns or self._passed(self._starts_ns, begun_ns)  # the former: the robot shows nothing any more
            starts = motion if begun else motion.beginning_at(motion.offset_s(self._starts_ns))
            # What rests and is not known to be where it was commanded to be would step there: a controller that is just activated.
            left_out = self.execution.unknown(begun_ns) if self.execution else []
            left_out += self.execution.unconfirmed(begun_ns) if self.execution and repeated else []
            publish = outlet.prepare(starts, left_out)
            ready_ns = outlet.now_ns()
            if ready_ns is None or ready_ns < begun_ns - JUMP_S * NANOSECONDS:
                break
            self.timing.note_preparation(begun_ns, ready_ns)
            # A stop is published in any case, the last time even if the controllers may feel it.
            if keeps_lead(lead_s, ready_ns, takes_over_ns) or attempt == ATTEMPTS:
                publish()
                self.running, self._holds, self.hold_owed, self._released = motion, True, False, False
                self._note_sent(motion, ready_ns, takes_over_ns)
                return motion
        return None

    def hold_missed(self, outlet: Outlet) -> bool:
        """Whether a controller is known to move on although a hold was published: it has certainly lost it."""
        now_ns = outlet.now_ns() if self._holds else None
        if now_ns is None or self.running is None or self.execution is None or self._in_doubt(now_ns):
            return False
        return self.execution.moves_on(now_ns)

    def drop_chunks(self) -> None:
        """Drops what earlier chunks intended; the next one continues the commanded motion, at rest or not."""
        self._overlap.reset()

    def release(self, now_ns: int | None) -> None:
        """Somebody else may have commanded the controllers: what was commanded from here counts no longer than until it ends.

        Then the next chunk starts from where controllers report to stand, or the measured joints. `now_ns`: None if it is unknown.
        """
        self._overlap.reset()
        self._released = True
        self._forget_if_released(now_ns)

    def _forget_if_released(self, now_ns: int | None) -> None:
        if not self._released or self.running is None or now_ns is None or not self._passed(self.running.end_ns, now_ns):
            return
        self.running, self.hold_owed, self._released = None, False, False
        if self.execution is not None:
            self.execution.forget_sent()

    def reset(self) -> None:
        """Drops the commanded motion too: the next chunk starts from the measured joints (the robot's time began again)."""
        self._overlap.reset()
        self.running, self.hold_owed, self._starts_ns, self._released = None, False, 0, False
        if self.execution is not None:
            self.execution.reset()

    def shift(self, step_ns: int) -> None:
        """Moves the commanded motion in time by `step_ns`: the robot's clock was set, and the controllers play on."""
        self._overlap.reset()
        if self.running is not None:
            self.running = replace(self.running, origin_ns=self.running.origin_ns + step_ns)
            self._starts_ns += step_ns
        if self.execution is not None:
            self.execution.shift(step_ns)

    def skip(self, now_ns: int | None, step_ns: int) -> None:
        """A simulator's clock went forward by `step_ns`, and its controllers with it. `now_ns`: None if it is unknown."""
        if self.execution is not None and now_ns is not None:
            self.execution.skip(now_ns, step_ns)

    def _executed(self, now_ns: int) -> JointMotion | None:
        """What was commanded, as far as the controllers execute it; None before the first motion."""
        return self.running if self.running is None or self.execution is None else self.execution.executed(self.running, now_ns)

    def _passed(self, time_ns: int, now_ns: int) -> bool:
        """Whether the controllers have certainly passed `time_ns`: the robot has shown it, where it shows any.

        What their clock shows now is an estimate, which is ahead while a simulator is not scheduled, or where the computers' clocks differ:
        a motion that begins from rest, sent while they still decelerate, would be a step.
        """
        return time_ns <= self._shown_ns(now_ns)

    def _shown_ns(self, now_ns: int) -> int:
        """The latest time that the controllers have certainly passed: what the robot has shown, or the estimate where it shows nothing."""
        witnessed_ns = None if self.execution is None else self.execution.witnessed_ns(now_ns)
        return now_ns if witnessed_ns is None else min(witnessed_ns, now_ns)

    def _with_first_point_past(self, motion: JointMotion, running: JointMotion, now_ns: int) -> JointMotion:
        """A chunk's motion, spliced into `running`, that begins in the controllers' past, whatever the camera's clock shows."""
        if self._passed(motion.begin_ns, now_ns):
            return motion
        return reaching_back(motion, running, self._distinct_origin_ns(self._shown_ns(now_ns) - round(PAST_S * NANOSECONDS)))

    def _distinct_origin_ns(self, origin_ns: int) -> int:
        """This origin, or an earlier one where a report could take it for another motion's."""
        return max(origin_ns, 1) if self.execution is None else self.execution.distinct_origin_ns(origin_ns)

    def _in_doubt(self, now_ns: int) -> bool:
        return self.execution is not None and self.execution.in_doubt(now_ns)

    def _note_sent(self, motion: JointMotion, sent_ns: int, takes_over_ns: int) -> None:
        if self.execution is not None:
            self.execution.sent(motion, sent_ns, takes_over_ns)

    def _require_pace(self, now_ns: int) -> None:
        """Raises SpliceMissedError while the robot comes to rest because trajectories took too long to be executed."""
        if self.execution is None or not self.execution.latencies.too_long:
            return
        if self.running is not None and not self._passed(self.running.end_ns, now_ns):
            raise SpliceMissedError(
                f"a trajectory was executed {self.execution.latencies.longest_s:.2f} s after it was sent, "
                f"which a lead of {LONGEST_LEAD_S} s does not cover with a margin of {LEAD_MARGIN_SHARE:.0%}; coming to rest"
            )
        self.execution.latencies.restart()
