"""What a controller may execute at a time, and whether a new trajectory continues all of it.

A trajectory that is passed on takes over at some update until `Tolerances.window_s` later; until then the one before may still be
executed. So a new trajectory is compared with every motion that may be executed at its arrival, for as long as it may be, not
only with the newest: the differences of a sequence of trajectories cannot add up. docs/results/guard.md derives what follows for the
set-points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import AT_REST
from dial_core.control.limit_tracking import Knots
from dial_core.control.motion import NANOSECONDS, JointMotion
from dial_core.control.splice import FIRST_KNOT_S, hold
from dial_core.control.trajectory_checks import RATE_TOLERANCE, BreachError, Tolerances, TrajectoryCheck, position_extremes

STEP_SHARE = 0.005  # of what the acceleration limit gives in one period: a smaller difference is rounding, and no step
SAME_SHARE = 1e-4  # the same for a trajectory that must be what is executed already: rounding of times
AGREED_SHARE = 0.05  # the same where it is only asked whether a trajectory comes late or was never right
LATE_STEP_S = 0.005  # between moments at which that is asked
LATE_S = 0.2  # a trajectory that agreed with what is executed so long ago, or less, comes late
NOTICED_S = 0.5  # after a hold a commander has noticed by what controllers report that its own motion is not executed
APPROACH_RAD = 0.05  # from where a controller rests to a first point ahead: a servo's error
LEAST_APPROACH_PERIODS = 3
HISTORY_S = 1.0  # of the executed motion that is kept
HOLD_RESERVE_S = 0.03  # a hold leaves what is executed so much later than a trajectory must: it may be late, and is never refused
PAST_RAD = 1e-5  # a hold that passes a position limit by less does so by rounding
CUT_S = 1e-7  # knots closer than this to a cut are left out


@dataclass(frozen=True)
class _Approach:
    """A controller is on its way from rest to a trajectory's first point, where it is at `ends_ns`.

    Where it is before is not known, since nobody knows at which update it began. `repeatable`: a trajectory with the same first point
    may replace it. The controller then jumps ahead by one period on its way, which is within the acceleration limit.
    """

    ends_ns: int
    position: np.ndarray
    repeatable: bool


class PossibleMotions:
    """All motions that one controller may execute."""

    def __init__(self, standing: JointMotion, names: Sequence[str], tolerances: Tolerances, held_until_ns: int = 0) -> None:
        """The controller, whose joints have the `names`, rests at the end of `standing`."""
        self.newest = standing
        self._names, self._tolerances = names, tolerances
        self._superseded: list[tuple[int, JointMotion]] = []  # until when each may be executed [ns]
        self._approach: _Approach | None = None
        self.held_until_ns = held_until_ns  # the guard's own hold, and the time after it in which a commander notices it

    def approaching(self, now_ns: int) -> bool:
        """Whether the controller approaches a first point ahead, so that only a trajectory with the same first point can replace it."""
        return self._approach is not None and now_ns < self._approach.ends_ns

    def rests(self, now_ns: int) -> bool:
        """Whether all that it may execute has ended."""
        return now_ns >= self.newest.end_ns and all(now_ns >= until_ns for until_ns, _ in self._superseded)

    def note_stop(self, now_ns: int) -> None:
        """The guard stops the robot, and a controller that rests needs no hold; the commander does not know of it yet."""
        self.held_until_ns = max(self.held_until_ns, now_ns + round(NOTICED_S * NANOSECONDS))

    def shift(self, step_ns: int) -> None:
        """The robot's clock was set by `step_ns`: controllers count periods and play on, at other dates."""
        self.newest = self.newest.shifted(step_ns)
        self._superseded = [(until_ns + step_ns, motion.shifted(step_ns)) for until_ns, motion in self._superseded]
        self.held_until_ns += step_ns
        if (approach := self._approach) is not None:
            self._approach = _Approach(approach.ends_ns + step_ns, approach.position, approach.repeatable)

    def pass_on(self, new: JointMotion, now_ns: int, limits: Guard, shown_ns: int | None = None) -> None:
        """Takes `new` to be executed from now on, or at some update within the window.

        `shown_ns`: the time that the robot itself has shown, by the stamp of its newest joint state; None: now. What its clock shows now is
        an estimate, which may be ahead: a controller rests only if it rested at that time too.

        One that ends before may be rejected by the controller, which then keeps to the one before. It must be what is executed already,
        and changes nothing here: otherwise a sequence of such ones could lead away from what is executed.

        Raises:
            BreachError: LATE or CONTINUITY: the set-points would step. Nothing has changed then.
        """
        shown_ns = now_ns if shown_ns is None else min(shown_ns, now_ns)
        if self.approaching(now_ns):
            self._require_same_first_point(new, now_ns, limits)
        elif why := self._step(new, now_ns, limits, self._takes_over_ns(new, now_ns, shown_ns)):
            if not self._begins_ahead(new, now_ns):
                raise self._discontinuity(new, now_ns, limits, why)
            self._approach = self._begun_approach(new, now_ns, limits, shown_ns)
        elif self._begins_ahead(new, now_ns) and (np.abs(new.velocities[0]) > AT_REST).any():
            raise BreachError(TrajectoryCheck.CONTINUITY, "its first point lies ahead and moves, but the controller rests until then")
        if not self._may_be_rejected(new, now_ns):
            self._replace(new, now_ns)

    def decelerate(self, now_ns: int, origin_ns: int, limits: Guard) -> JointMotion | None:
        """The motion of this origin that continues what is executed and decelerates it as soon as the controller has it; it is passed on.

        None: the controller approaches a first point and must arrive there first.
        """
        leaves_s = self._tolerances.window_s + FIRST_KNOT_S + HOLD_RESERVE_S  # `hold` may leave FIRST_KNOT_S earlier, at a knot
        leaves_ns = now_ns + round(leaves_s * NANOSECONDS)
        if (approach := self._approach) is None or now_ns >= approach.ends_ns:
            stop = self._held(origin_ns, leaves_ns, limits)
        elif not approach.repeatable:
            return None
        else:
            stop = self._held(origin_ns, max(leaves_ns, approach.ends_ns), limits)
            stop = stop.beginning_at(stop.offset_s(approach.ends_ns))
        self._replace(stop, now_ns)
        self.held_until_ns = stop.end_ns + round(NOTICED_S * NANOSECONDS)
        return stop

    def _held(self, origin_ns: int, leaves_ns: int, limits: Guard) -> JointMotion:
        """The newest motion until `leaves_ns`, then decelerated within the limits.

        A trajectory may brake by RATE_TOLERANCE harder than its limit, to rest at a position limit. From such a one the limit itself
        stops up to 3.5 mrad later: what would pass its position limit therefore decelerates as hard as a trajectory may.
        """
        stop = hold(self.newest, origin_ns, leaves_ns, limits)
        begin = int(np.searchsorted(stop.times_s, stop.offset_s(leaves_ns) - FIRST_KNOT_S))
        lowest, highest = position_extremes(Knots(stop.times_s[begin:], stop.positions[begin:], stop.velocities[begin:]))
        start = stop.positions[begin]
        past = (lowest < np.minimum(limits.lower, start) - PAST_RAD) | (highest > np.maximum(limits.upper, start) + PAST_RAD)
        if not past.any():
            return stop
        harder = np.where(past, limits.acceleration * (1 + RATE_TOLERANCE), limits.acceleration)
        return hold(self.newest, origin_ns, leaves_ns, replace(limits, acceleration=harder))

    def note_published(self, now_ns: int) -> None:
        """What was passed on last was published at `now_ns`: if later than it was judged for, the one before may run as much longer."""
        if self._superseded:
            until_ns, motion = self._superseded[-1]
            self._superseded = [*self._superseded[:-1], (max(until_ns, self._window_ns(now_ns)), motion)]

    def _replace(self, new: JointMotion, now_ns: int) -> None:
        until_ns = self._window_ns(now_ns)
        self._superseded = [older for older in self._superseded if older[0] > now_ns] + [(until_ns, self.newest)]
        self.newest = _continued(self.newest, new, now_ns)

    def _begins_ahead(self, new: JointMotion, now_ns: int) -> bool:
        """Whether a controller may have a set-point before the first point of `new`, which it interpolates from where it is."""
        return new.begin_ns > now_ns + round(self._tolerances.period_s * NANOSECONDS)

    def _window_ns(self, now_ns: int) -> int:
        """When the set-points are those of a trajectory that is passed on now, at the latest."""
        return now_ns + round(self._tolerances.window_s * NANOSECONDS)

    def _may_be_rejected(self, new: JointMotion, now_ns: int) -> bool:
        """Whether `new` may have ended when a controller receives it."""
        return new.end_ns < self._window_ns(now_ns)

    def _takes_over_ns(self, new: JointMotion, now_ns: int, shown_ns: int) -> int:
        """The first moment at which a controller may execute `new`, which moves to its first point if that is ahead."""
        return shown_ns if self._begins_ahead(new, now_ns) else max(now_ns, new.begin_ns)

    def _step(self, new: JointMotion, now_ns: int, limits: Guard, begin_ns: int) -> str:
        """The largest step to `new` from any motion that may be executed when it takes over, at `begin_ns` or later; empty: none."""
        until_ns, share = max(self._window_ns(now_ns), begin_ns), STEP_SHARE
        if self._may_be_rejected(new, now_ns):
            until_ns, share = max(until_ns, self.newest.end_ns), SAME_SHARE
        for end_ns, motion in (*self._superseded, (until_ns, self.newest)):
            if end_ns >= begin_ns and (why := self._difference(motion, new, (begin_ns, end_ns), limits, share)):
                return why
        return ""

    def _difference(self, old: JointMotion, new: JointMotion, span_ns: tuple[int, int], limits: Guard, share: float) -> str:
        """The joint that differs most between two motions at any moment of a span, with the difference; empty: they agree.

        They agree if they differ by no more than `share` of what the acceleration limit gives in one period.
        """
        period_s = self._tolerances.period_s
        begin_s, end_s = (new.offset_s(time_ns) for time_ns in span_ns)
        shift_s = (new.origin_ns - old.origin_ns) / NANOSECONDS
        grid_s = np.linspace(begin_s, end_s, 1 + int(np.ceil(2 * (end_s - begin_s) / period_s)))
        knots_s = np.concatenate([new.times_s, old.times_s - shift_s])
        moments_s = np.concatenate([grid_s, knots_s[(knots_s > begin_s) & (knots_s < end_s)]])
        (new_p, new_v), (old_p, old_v) = new.sample_offsets(moments_s), old.sample_offsets(moments_s + shift_s)
        position, velocity = np.abs(new_p - old_p), np.abs(new_v - old_v)
        excess = np.maximum(position / period_s, velocity) / (limits.acceleration * period_s)
        moment, joint = np.unravel_index(excess.argmax(), excess.shape)
        if excess[moment, joint] <= share:
            return ""
        return f"{self._names[joint]} steps by {position[moment, joint]:.4f} rad, {velocity[moment, joint]:.3f} rad/s"

    def _discontinuity(self, new: JointMotion, now_ns: int, limits: Guard, why: str) -> BreachError:
        """LATE for a trajectory that agreed with what was executed a short time ago, or cannot know of a hold yet; else CONTINUITY."""
        if now_ns < self.held_until_ns:
            return BreachError(TrajectoryCheck.LATE, f"it does not know of the guard's own hold, or not yet: {why}")
        if self._might_have_approached(new, now_ns, limits):
            left_s = (new.begin_ns - now_ns) / NANOSECONDS
            how = f"{abs(left_s):.3f} s {'before' if left_s > 0 else 'after'} its first point"
            return BreachError(TrajectoryCheck.LATE, f"it arrived {how}: {why}")
        begin_ns = max(new.begin_ns, now_ns - round(LATE_S * NANOSECONDS))
        for agreed_ns in range(now_ns, begin_ns - 1, -round(LATE_STEP_S * NANOSECONDS)):
            if not self._difference(self.newest, new, (agreed_ns, agreed_ns), limits, AGREED_SHARE):
                return BreachError(TrajectoryCheck.LATE, f"it may reach the controller after it left what is executed: {why}")
        return BreachError(TrajectoryCheck.CONTINUITY, f"it does not continue what is executed: {why}")

    def _might_have_approached(self, new: JointMotion, now_ns: int, limits: Guard) -> bool:
        """Whether `new` begins within a period, or began shortly before, at a point that the controller might have approached, at rest."""
        place = self.newest.sample(now_ns)[0]
        near = (np.abs(new.positions[0] - place) <= APPROACH_RAD).all() and (np.abs(new.velocities[0]) <= AT_REST).all()
        recent = not self._begins_ahead(new, now_ns) and now_ns - new.begin_ns <= LATE_S * NANOSECONDS
        return bool(near and recent and not self._step(JointMotion.standing(now_ns + NANOSECONDS, place), now_ns, limits, now_ns))

    def _require_same_first_point(self, new: JointMotion, now_ns: int, limits: Guard) -> None:
        """Raises BreachError (LATE) if `new` does not begin at the first point that the controller approaches."""
        approach = self._approach
        assert approach is not None
        least = STEP_SHARE * limits.acceleration * self._tolerances.period_s**2
        same = (
            abs(new.begin_ns - approach.ends_ns) < CUT_S * NANOSECONDS
            and (np.abs(new.positions[0] - approach.position) <= least).all()
            and not self._step(new, now_ns, limits, approach.ends_ns)
        )
        if not (same and approach.repeatable):
            in_s = (approach.ends_ns - now_ns) / NANOSECONDS
            raise BreachError(
                TrajectoryCheck.LATE, f"the controller is still on its way to the first point of another one, for {in_s:.3f} s"
            )

    def _begun_approach(self, new: JointMotion, now_ns: int, limits: Guard, shown_ns: int) -> _Approach:
        """The approach that `new` asks for. docs/results/guard.md derives the bounds.

        A controller that is about to rest rests already by a clock that is a little ahead: such a trajectory is LATE, though refused.

        Raises:
            BreachError: CONTINUITY or LATE.
        """
        place = self.newest.sample(now_ns)[0]
        if why := self._step(JointMotion.standing(now_ns + NANOSECONDS, place), now_ns, limits, shown_ns):
            soon = now_ns < self.held_until_ns or self.newest.end_ns - now_ns <= LATE_S * NANOSECONDS
            check = TrajectoryCheck.LATE if soon else TrajectoryCheck.CONTINUITY
            raise BreachError(check, f"its first point lies ahead, but the controller moves: {why}")
        if (np.abs(new.velocities[0]) > AT_REST).any():
            raise BreachError(TrajectoryCheck.CONTINUITY, "its first point lies ahead and moves, but the controller rests")
        distance = np.abs(new.positions[0] - place)
        joint = int(distance.argmax())
        if distance[joint] > APPROACH_RAD:
            where = f"{self._names[joint]} rests {distance[joint]:.3f} rad from its first point (limit {APPROACH_RAD:.2f} rad)"
            raise BreachError(TrajectoryCheck.CONTINUITY, f"it does not continue what is executed: {where}")
        # A controller takes its state to be one period old, so the first set-point on the way is that of two periods.
        period_s = self._tolerances.period_s
        least_s = (new.begin_ns - now_ns) / NANOSECONDS - self._tolerances.forward_s + period_s
        allowed_rad = limits.acceleration * (1 + RATE_TOLERANCE) * least_s**2
        hurried = (12 * distance > allowed_rad) | (3 * distance > limits.velocity * (1 + RATE_TOLERANCE) * least_s)
        if least_s < LEAST_APPROACH_PERIODS * period_s or hurried.any():
            time_s = max(least_s - period_s, 0.0)
            how = f"{time_s:.3f} s to move {self._names[joint]} by {distance[joint]:.3f} rad to its first point"
            raise BreachError(TrajectoryCheck.LATE, f"it may leave the controller no more than {how}")
        return _Approach(new.begin_ns, new.positions[0], bool(((6 + 1.5 * least_s / period_s) * distance <= allowed_rad).all()))


def _continued(running: JointMotion, new: JointMotion, now_ns: int) -> JointMotion:
    """What a controller executes that changes from `running` to `new` now: the past of the one, the future of the other."""
    shift_s, now_s = (running.origin_ns - new.origin_ns) / NANOSECONDS, new.offset_s(now_ns)
    past_s = running.times_s + shift_s
    past = (past_s > now_s - HISTORY_S) & (past_s < now_s - CUT_S)
    future = new.times_s > now_s + CUT_S
    state = running.sample(now_ns) if now_s < new.times_s[0] else new.sample(now_ns)
    return JointMotion(
        new.origin_ns,
        np.concatenate([past_s[past], [now_s], new.times_s[future]]),
        np.concatenate([running.positions[past], state[0][None], new.positions[future]]),
        np.concatenate([running.velocities[past], state[1][None], new.velocities[future]]),
    )
