"""The last check before the controllers: passes a robot's trajectories on, or stops the robot, and says which check failed.

    passing -- a trajectory fails a check --> stopped: every controller is sent a decelerating hold, nothing is passed on

What may end by itself (clock, source, limits, age, measured, late) stops until a later trajectory passes all checks. What shows that a
commander computes wrongly (form, position, velocity, acceleration, continuity) stops until `reset`.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from copy import copy

import numpy as np

from dial_core.control.guarded_controller import GuardedController
from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.control.measured_divergence import MeasuredDivergence, measured_error
from dial_core.control.measured_robot import MeasuredRobot
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.motion_plan import HOLD_HISTORY_S
from dial_core.control.played_motion import distinct_origin_ns
from dial_core.control.possible_motions import PossibleMotions
from dial_core.control.trajectory_checks import (
    CLOCK_TOLERANCE_S,
    JUDGING_S,
    BreachError,
    Tolerances,
    TrajectoryCheck,
    motion_of,
    require_limits,
)
from dial_core.robot.embodiment import Embodiment

PASSING_BY_ITSELF = frozenset(
    {
        TrajectoryCheck.CLOCK,
        TrajectoryCheck.SOURCE,
        TrajectoryCheck.LIMITS,
        TrajectoryCheck.AGE,
        TrajectoryCheck.MEASURED,
        TrajectoryCheck.LATE,
    }
)
REMEMBERED_STAMPS = 16
JUDGEMENTS = 10  # of a trajectory, until one takes no longer than JUDGING_S; each is for the time at which it is made
EXPECTED_S = 0.005  # that a judgement is expected to take at most: what takes longer was not scheduled

ReadClock = Callable[[], int | None]  # the robot's time [ns]; None: it is unknown


class TrajectoryGuard:
    """All controllers of one robot. Times are the robot's. Callers keep to one thread at a time.

    Attributes:
        limits: of all joints; may be replaced (a URDF arrived).
        breach: why it is stopped; None: it passes trajectories on.
        passed, refused: trajectories so far, the latter by check.
    """

    def __init__(self, embodiment: Embodiment, limits: Guard, tolerances: Tolerances) -> None:
        self.limits, self._tolerances = limits, tolerances
        columns = {c.name: embodiment.indices(c.joints) for c in embodiment.controllers}
        fingers = embodiment.fingers
        self._controlled = {c.name: GuardedController(c, columns[c.name], fingers[columns[c.name]]) for c in embodiment.controllers}
        self._measured = MeasuredRobot()
        self._divergence = MeasuredDivergence(embodiment.joint_names, tolerances.max_divergence_rad, fingers)
        self._refused_stamp_ns = 0
        self._stamps_ns: deque[int] = deque(maxlen=REMEMBERED_STAMPS)  # of what was offered
        self.breach: BreachError | None = None
        self.passed = 0
        self.refused: Counter[TrajectoryCheck] = Counter()

    @property
    def latched(self) -> bool:
        """Whether only `reset` ends the stop."""
        return self.breach is not None and self.breach.check not in PASSING_BY_ITSELF

    def note_joints(self, stamp_ns: int, positions: np.ndarray) -> None:
        """Takes in measured joints (J,) [rad]."""
        self._measured.note(stamp_ns, positions)

    def knows(self, name: str) -> bool:
        """Whether it is known by what passed what the controller `name` executes: then its reports say nothing new."""
        return self._controlled[name].motions is not None

    def note_reference(self, name: str, time_ns: int, position: np.ndarray) -> None:
        """The controller `name` reports that it commands its joints to be at `position` (J',) [rad]. What is not finite is left out."""
        if np.isfinite(position).all():
            reports = self._controlled[name].reports
            reports.moved = reports.moved_to(position)
            reports.note_position(time_ns, position)

    def offer(self, name: str, request: TrajectoryRequest, clock: ReadClock, obstacle: tuple[TrajectoryCheck, str] | None = None) -> bool:
        """Whether the trajectory for the controller `name` passes; it is then taken to be executed. Publish it at once.

        Args:
            clock: read before and after judging; a judgement that took long is no longer true, and made again.
            obstacle: something else that forbids motion, with the check that it fails.
        """
        if request.stamp_ns not in self._stamps_ns:
            self._stamps_ns.append(request.stamp_ns)
        try:
            if obstacle is not None:
                raise BreachError(*obstacle)
            self._judge(self._controlled[name], request, clock)
        except BreachError as error:
            self.refused[error.check] += 1
            if error.check is not TrajectoryCheck.AGE:
                self._note_refused(request.stamp_ns, clock())
            if self.breach is None:
                self.breach = BreachError(error.check, f"{name}: {error}")
            return False
        self.passed += 1
        self.breach = None
        return True

    def stop(self, check: TrajectoryCheck, why: str) -> None:
        """Stops for a reason other than a trajectory, unless it is stopped already."""
        self.breach = self.breach or BreachError(check, why)

    def note_published(self, name: str, now_ns: int | None) -> None:
        """What passed last for the controller `name` was published by `now_ns`, maybe later than it was judged for."""
        if (motions := self._controlled[name].motions) is not None and now_ns is not None:
            motions.note_published(now_ns)

    def holds(self, clock: ReadClock) -> Iterator[tuple[str, JointMotion]]:
        """Controllers, each with the motion (J',) that decelerates what it executes, which is taken to be executed from now on.

        Each is made when it is asked for: publish it before the next. A controller of which it is not known what it executes gets
        none: it comes to rest by itself, since each trajectory that passes ends at rest. Nor does one that rests already: if it was
        restarted elsewhere meanwhile, a hold where it was sent would be a step. One that is on its way to a first point cannot
        leave it within its limits: it is owed its hold (`owed_holds`) until it is there.
        """
        for controlled in self._controlled.values():
            controlled.owes_hold = controlled.motions is not None
        return self.owed_holds(clock)

    def owed_holds(self, clock: ReadClock) -> Iterator[tuple[str, JointMotion]]:
        """The holds, as of `holds`, that a controller was owed until now. Call it every few milliseconds."""
        for name, controlled in self._controlled.items():
            if not controlled.owes_hold or controlled.motions is None or (now_ns := clock()) is None:
                continue
            if controlled.motions.rests(now_ns):
                controlled.motions.note_stop(now_ns)
                controlled.owes_hold = False
                continue
            motion = controlled.motions.decelerate(now_ns, self._own_origin_ns(now_ns), self.limits.of(controlled.columns))
            controlled.owes_hold = motion is None
            if motion is not None:
                yield name, motion

    def reset(self) -> BreachError | None:
        """Ends a stop, and returns why it was stopped; None: it was not, and nothing changes.

        The next trajectory is judged again. Controllers that rest are taken to stand where they report to; those that do not report,
        where their joints are measured, if these are elsewhere than sent (fingers: if the refused trajectory began there). One whose
        report is farther than `max_divergence` from the measured joints is still passed nothing, until it is restarted.
        """
        breach, self.breach = self.breach, None
        self._refused_stamp_ns = 0
        if breach is not None and self._measured.newest_ns is not None:
            for controlled in self._controlled.values():
                controlled.reset(self._measured.newest_ns, self._measured.positions[controlled.columns])
        return breach

    def reset_motion(self) -> None:
        """Drops what is executed and measured: the robot's time began again, or somebody else commands it."""
        self._measured.clear()
        self._refused_stamp_ns = 0
        for controlled in self._controlled.values():
            controlled.forget()

    def shift(self, step_ns: int) -> None:
        """The robot's clock was set by `step_ns`: controllers count periods and play on, at other dates."""
        self._measured.clear()
        self._refused_stamp_ns = max(self._refused_stamp_ns + step_ns, 0)
        for controlled in self._controlled.values():
            controlled.shift(step_ns)

    def _note_refused(self, stamp_ns: int, now_ns: int | None) -> None:
        """Notes the stamp of a refused motion, whose parts for other controllers must not pass.

        One from the future is of a commander with another clock: everything would be refused until then.
        """
        now_ns = self._measured.newest_ns if now_ns is None else now_ns
        if now_ns is not None and stamp_ns <= now_ns + CLOCK_TOLERANCE_S * NANOSECONDS:
            self._refused_stamp_ns = max(self._refused_stamp_ns, stamp_ns)

    def _own_origin_ns(self, now_ns: int) -> int:
        """An origin for a hold, some time ago. Commanders tell by it what a controller executes, so it must be no origin of theirs."""
        return distinct_origin_ns(now_ns - round(HOLD_HISTORY_S * NANOSECONDS), self._stamps_ns)

    def _judge(self, controlled: GuardedController, request: TrajectoryRequest, clock: ReadClock) -> None:
        """Judges a trajectory for the time at which it is published, JUDGING_S at most after the time that it is judged for.

        A process that is not scheduled for 40 ms between the two would pass on what must have arrived by then: 50 times an
        acceleration limit.
        """
        if self.latched:
            assert self.breach is not None
            raise BreachError(self.breach.check, f"stopped until reset: {self.breach}")
        began_ns = now_ns = _known(clock())
        if self.breach is not None and request.stamp_ns <= self._refused_stamp_ns:
            raise BreachError(self.breach.check, "part of a motion that was refused")
        for _ in range(JUDGEMENTS):
            # On a slow processor each judgement takes longer than JUDGING_S; one that did so once was not scheduled.
            expected_ns = min(max(min(controlled.took_ns) - round(JUDGING_S / 2 * NANOSECONDS), 0), round(EXPECTED_S * NANOSECONDS))
            before_ns, published_ns = now_ns, now_ns + expected_ns
            try:
                motions = self._passed_on(controlled, request, published_ns)
            except BreachError:
                if not expected_ns:
                    raise
                controlled.took_ns.extend((0, 0))  # it may pass now what it refuses for a few milliseconds later
                now_ns = _known(clock())
                continue
            now_ns = _known(clock())
            if now_ns >= before_ns:
                controlled.took_ns.append(now_ns - before_ns)
            if 0 <= now_ns - published_ns <= JUDGING_S * NANOSECONDS:
                controlled.execute(motions)
                return
        spent_s = (now_ns - began_ns) / NANOSECONDS
        raise BreachError(TrajectoryCheck.LATE, f"the guard could not judge it in time: {JUDGEMENTS} judgements took {spent_s:.3f} s")

    def _passed_on(self, controlled: GuardedController, request: TrajectoryRequest, now_ns: int) -> PossibleMotions:
        """What the controller may execute if the trajectory is published at `now_ns`. Raises BreachError if it must not be."""
        new = motion_of(request, controlled.controller, now_ns, self._tolerances)
        limits = self.limits.of(controlled.columns)
        motions = copy(self._executed(controlled, now_ns))
        require_limits(motions.newest.sample(now_ns)[0], new, now_ns, limits, controlled.controller.joints)
        try:
            motions.pass_on(new, now_ns, limits, self._measured.newest_ns)
        except BreachError:
            self._require_begin_where_it_stands(controlled, new, motions, now_ns)
            raise
        return motions

    def _executed(self, controlled: GuardedController, now_ns: int) -> PossibleMotions:
        """What the controller may execute, which the measured joints must not contradict.

        Raises:
            BreachError: MEASURED.
        """
        stamp_ns = self._measured.require_newest_ns(now_ns)
        measured, names = self._measured.positions[controlled.columns], controlled.controller.joints
        if (motions := controlled.motions) is None:
            self._measured.require_rest(controlled.columns, names)
            if controlled.reporting:
                place = self._measured.reported_place(controlled.controller.name, controlled.reports, self._divergence, now_ns)
            else:
                place = controlled.standing_place(measured)
            return PossibleMotions(JointMotion.standing(now_ns, place), names, self._tolerances, controlled.held_until_ns)
        error = np.where(controlled.fingers, 0.0, measured_error(motions.newest, stamp_ns, measured))
        j = int(error.argmax())
        if error[j] > self._tolerances.max_divergence_rad:
            if controlled.rests(stamp_ns):
                self._require_place(controlled, error > self._tolerances.max_divergence_rad, motions.newest.positions[-1])
            raise BreachError(
                TrajectoryCheck.MEASURED,
                f"{names[j]} is measured {error[j]:.2f} rad off what is executed (limit {self._tolerances.max_divergence_rad:.2f} rad)",
            )
        return motions

    def _require_begin_where_it_stands(
        self, controlled: GuardedController, new: JointMotion, motions: PossibleMotions, now_ns: int
    ) -> None:
        """Raises BreachError (MEASURED) if `new` begins at measured joints that rest elsewhere than the controller stands."""
        measured, place = self._measured.positions[controlled.columns], motions.newest.sample(now_ns)[0]
        if not controlled.rests(self._measured.newest_ns or 0):
            return
        elsewhere = controlled.doubt(new, place, measured, now_ns)
        if controlled.motions is None and controlled.reporting and elsewhere.any():
            j, name = int((np.abs(measured - place) * elsewhere).argmax()), controlled.controller.name
            joint = f"{controlled.controller.joints[j]} (measured {measured[j]:.2f} rad)"
            why = f"it begins at the measured joints, but {name} reports that it commands {place[j]:.2f} rad to {joint}"
            hint = "the commander does not read its reports (control_msgs, same distribution)"
            raise BreachError(TrajectoryCheck.MEASURED, f"{why}: {hint}") from None
        self._require_place(controlled, elsewhere, place)

    def _require_place(self, controlled: GuardedController, elsewhere: np.ndarray, place: np.ndarray) -> None:
        """Raises BreachError (MEASURED) if any joint is measured `elsewhere` (J',) than at `place` (J',) [rad], where it was sent.

        It may be blocked, or the controller was restarted and stands where it found the joint: only a person knows, and may reset.
        """
        if not elsewhere.any():
            return
        controlled.doubted |= elsewhere
        off = np.abs(self._measured.positions[controlled.columns] - place) * elsewhere
        j = int(off.argmax())
        where = f"{controlled.controller.joints[j]} rests {off[j]:.2f} rad from where it was sent"
        raise BreachError(TrajectoryCheck.MEASURED, f"{where}; if its controller was restarted, call guard/reset") from None


def _known(now_ns: int | None) -> int:
    """The robot's time. Raises BreachError (CLOCK) if it is unknown."""
    if now_ns is None:
        raise BreachError(TrajectoryCheck.CLOCK, "a clock has stepped, and no joint state has arrived since")
    return now_ns
