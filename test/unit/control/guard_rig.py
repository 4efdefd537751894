"""A guard with emulated controllers behind it, for the tests of the guard."""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from dial_core.control.emulated_controllers import EmulatedControllers
from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import TrajectoryRejectedError, TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.control.trajectory_checks import Tolerances, TrajectoryCheck
from dial_core.control.trajectory_guard import TrajectoryGuard
from dial_core.robot.embodiment import load_embodiment

GR1 = load_embodiment("gr1")
LIMITS = Guard.for_embodiment(GR1)
ARM = GR1.controllers[0]
ARM_COLUMNS = GR1.indices(ARM.joints)
MS = 1_000_000
START_NS = 100 * NANOSECONDS
PERIOD_NS = 10 * MS
PERIOD_S = PERIOD_NS / NANOSECONDS
DEFAULT = Tolerances()


class Rig:
    """A guard, emulated controllers behind it, and joints that follow their set-points; time runs in controller periods.

    No set-point may be outside the position limits.
    """

    def __init__(self, home=GR1.home_position, tolerances=DEFAULT, judgement_ns=0):
        """`judgement_ns`: that each judgement, or making of a hold, takes on the guard's processor."""
        self._judgement_ns, self._readings = judgement_ns, 0
        self.now_ns, self.period_s = START_NS, tolerances.period_s
        self._period_ns = round(tolerances.period_s * NANOSECONDS)
        self.guard = TrajectoryGuard(GR1, LIMITS, tolerances)
        self.controllers = EmulatedControllers(GR1, self._period_ns)
        self.controllers.hold(np.array(home, dtype=float))
        self.set_points = [np.array(home, dtype=float)] * 3
        self._under_way, self._arrived_ns, self._read_ns = [], {}, 0
        self.off = np.zeros(len(home))  # of the joints from their set-points: something blocks them
        self.run(0.15)

    def run(self, seconds):
        for _ in range(round(seconds * NANOSECONDS / self._period_ns)):
            self.now_ns += self._period_ns
            set_point = self.controllers.sample(self.now_ns)
            assert (set_point >= LIMITS.lower - 2e-3).all()
            assert (set_point <= LIMITS.upper + 2e-3).all()
            self.set_points.append(set_point)
            self._deliver()
            self._begin_reading(0)
            self.guard.note_joints(self.now_ns, set_point + self.off)
            self._publish_holds(self.guard.owed_holds(self._read_clock), 0)

    @property
    def worst(self):
        """The largest share of a velocity or acceleration limit in all set-points."""
        velocity = np.diff(self.set_points, axis=0) / self.period_s
        acceleration = np.diff(velocity, axis=0) / self.period_s
        return max(np.abs(velocity / LIMITS.velocity).max(), np.abs(acceleration / LIMITS.acceleration).max())

    def offer(self, name, request, obstacle=None, phase_ns=0, transport_ns=0, judging_ns=0):
        """Offers a trajectory as the node does: one that fails stops all controllers.

        `phase_ns`: after the controllers' last update; `transport_ns`: of what the guard publishes, which arrives in order;
        `judging_ns`: the guard's process is not scheduled for so long after it has first read the clock.
        """
        stopped_before = self.guard.breach is not None
        self._begin_reading(phase_ns, phase_ns + judging_ns)
        if passed := self.guard.offer(name, request, self._read_clock, obstacle):
            self._publish(name, request, transport_ns)
        elif not stopped_before:
            self._publish_holds(self.guard.holds(self._read_clock), transport_ns)
        self._deliver()
        return passed

    def stop(self, transport_ns=0):
        """The guard stops all controllers, for a second publisher."""
        self._begin_reading(0)
        self.guard.stop(TrajectoryCheck.SOURCE, "a second publisher")
        self._publish_holds(self.guard.holds(self._read_clock), transport_ns)

    @property
    def outside_rad(self):
        """How far a set-point was outside of the position limits [rad]; not positive: none was."""
        set_points = np.array(self.set_points)
        return max((LIMITS.lower - set_points).max(), (set_points - LIMITS.upper).max())

    def _begin_reading(self, *offsets_ns):
        """The guard's process begins something: it reads the clock at these times from now, and then at the last."""
        self._readings_ns, self._readings = list(offsets_ns), 0

    def _read_clock(self):
        """The robot's time for the guard, whose process does one thing after the other: it never reads an earlier time than before."""
        offset_ns = self._readings_ns.pop(0) if len(self._readings_ns) > 1 else self._readings_ns[0]
        self._read_ns = max(self.now_ns + offset_ns + self._readings * self._judgement_ns, self._read_ns)
        self._readings += 1
        return self._read_ns

    def _publish_holds(self, holds, transport_ns):
        for controller, motion in holds:
            self._publish(controller, request_of(controller, motion), transport_ns)

    def _publish(self, name, request, transport_ns):
        self.guard.note_published(name, self._read_ns)
        self._under_way.append((max(self._read_ns + transport_ns, self._arrived_ns.get(name, 0)), name, request))
        self._arrived_ns[name] = self._under_way[-1][0]

    def _deliver(self):
        """Gives controllers what has arrived; they take it at their update, after the set-point for now was computed."""
        if not self._under_way:
            return
        arrived = [message for message in self._under_way if message[0] <= self.now_ns]
        self._under_way = [message for message in self._under_way if message[0] > self.now_ns]
        for _, name, request in arrived:
            with suppress(TrajectoryRejectedError):  # what has ended on the way
                self.controllers.accept_one(name, request, self.now_ns)

    def swing(self, delta=0.3, over_s=1.0, begins_s=0.1, **changes):
        """A trajectory of the arm from where it is commanded, first point ahead, to `delta` [rad] further and to rest."""
        start = self.set_points[-1][ARM_COLUMNS]
        times_ns = tuple(round((begins_s + share * over_s) * NANOSECONDS) for share in (0.0, 0.5, 1.0))
        middle = np.full(len(start), 1.5 * delta / over_s)
        request = TrajectoryRequest(
            ARM.joints,
            self.now_ns,
            times_ns,
            tuple(tuple((start + share * delta).tolist()) for share in (0.0, 0.5, 1.0)),
            tuple(tuple(v.tolist()) for v in (0 * middle, middle, 0 * middle)),
        )
        return replace(request, **changes)


def request_of(name, motion):
    joints = next(c.joints for c in GR1.controllers if c.name == name)
    times_ns = tuple(round(t * NANOSECONDS) for t in motion.times_s)
    return TrajectoryRequest(
        joints, motion.origin_ns, times_ns, *(tuple(map(tuple, p.tolist())) for p in (motion.positions, motion.velocities))
    )


def changed(rows, point, joint, value):
    """The rows of a trajectory with one joint of one point changed."""
    return tuple(tuple(value if (k, j) == (point, joint) else x for j, x in enumerate(row)) for k, row in enumerate(rows))
