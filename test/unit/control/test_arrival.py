"""What the controllers execute when trajectories arrive late: the whole way in simulated time, judged as the fault campaign judges.

A controller replaces what it plays by what arrives. Up to the lead that changes nothing; beyond it the set-points jump, which
no sender can undo: the lead must exceed the way to the controllers.
"""

import numpy as np
import pytest

from dial_core.control.joint_limits import Guard
from dial_core.control.joint_trajectory_controller import JointTrajectoryController, TrajectoryRequest
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import SPLICE_LEAD_S, MotionPlan
from dial_core.control.overlap import STRATEGIES
from dial_core.control.send_conditions import SpliceMissedError
from dial_core.robot.embodiment import Controller, load_embodiment
from dial_ros.faults.limits import limit_use

GR1 = load_embodiment("gr1")
GUARD = Guard.for_embodiment(GR1)
MS = 1_000_000
PERIOD_NS = 10 * MS  # of the controllers
LEAD_MS = round(SPLICE_LEAD_S * 1000)


class ArrivalWorld:
    """A controller of all joints that plays on while System-1 thinks, and a transport that takes its time."""

    def __init__(self, transport_ms, preparing_ms=lambda: 12):
        self.arm = JointTrajectoryController(Controller(name="arm", joints=GR1.joint_names), GR1.home_position, PERIOD_NS)
        self.transport_ms, self.preparing_ms = transport_ms, preparing_ms
        self.time_ns, self.sent, self.published = 1000 * MS, [], 0
        self.stamps_ns, self.set_points = [], []

    def go_on(self, until_ns):
        while self.time_ns + PERIOD_NS <= until_ns:
            updated_ns, self.time_ns = self.time_ns, self.time_ns + PERIOD_NS
            for arrival_ns, request in [item for item in self.sent if item[0] <= self.time_ns]:
                self.arm.accept(request, updated_ns)  # between two updates
                self.sent.remove((arrival_ns, request))
            self.stamps_ns.append(self.time_ns)
            self.set_points.append(self.arm.sample(self.time_ns).copy())

    def use(self):
        return limit_use(np.array(self.stamps_ns), np.array(self.set_points), GUARD, PERIOD_NS)

    # The plan's outlet.

    def now_ns(self):
        return self.time_ns

    def prepare(self, motion, without=()):
        self.go_on(self.time_ns + self.preparing_ms() * MS)

        def publish():
            self.published += 1
            if "arm" in without:
                return
            request = TrajectoryRequest(
                GR1.joint_names,
                motion.origin_ns,
                tuple(round(time_s * NANOSECONDS) for time_s in motion.times_s),
                tuple(map(tuple, motion.positions)),
                tuple(map(tuple, motion.velocities)),
            )
            self.sent.append((self.time_ns + self.transport_ms * MS, request))

        return publish


def restless(rng, stamp_s):
    """A chunk (16, 47) that disagrees with the one before, far enough to be led along the limits."""
    times_s = stamp_s + 0.05 * np.arange(1, 17)[:, None]
    joints = GR1.home_position + 0.4 * np.sin(2.0 * times_s + np.arange(29)) + rng.normal(0, 0.2, 29)
    return np.concatenate([np.zeros((16, 18)), joints], axis=1).astype(np.float32)


def execute(world, strategy="replace", chunks=25, hold_every=8):
    """Chunk after chunk, 80 ms after its frame, a hold now and then; how many chunks were missed."""
    rng, plan, missed = np.random.default_rng(0), MotionPlan(GR1.joint_slice, 0.05, GUARD, SPLICE_LEAD_S, strategy), 0
    for k in range(chunks):
        stamp_ns = world.time_ns
        plan.committed(stamp_ns)
        world.go_on(stamp_ns + 80 * MS)
        try:
            plan.follow(restless(rng, stamp_ns / NANOSECONDS), stamp_ns, GR1.home_position, world)
        except SpliceMissedError:
            missed += 1
        world.go_on(stamp_ns + 150 * MS)
        if k % hold_every == hold_every - 1:
            plan.hold(world)
    world.go_on(world.time_ns + 2000 * MS)
    return missed


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("transport_ms", [0, 10, LEAD_MS - 10])
def test_with_a_transport_shorter_than_the_lead_no_limit_is_exceeded(transport_ms, strategy):
    world = ArrivalWorld(transport_ms)
    assert execute(world, strategy) == 0
    assert world.use().kept, world.use()
    assert world.use().acceleration > 0.9, "the chunks ask for all that the limits give"


def test_a_transport_longer_than_the_lead_makes_the_controllers_jump_the_more_the_later():
    worst = []
    for late_ms in (0, 20, 50, 100):
        world = ArrivalWorld(LEAD_MS + late_ms)
        execute(world)
        worst.append(world.use().acceleration)
    assert worst[0] <= 1.01
    assert 1.5 < worst[1] < worst[2] < worst[3]


@pytest.mark.parametrize("longest_ms", [30, 100, 200])
def test_however_long_system1_takes_itself_no_limit_is_exceeded_because_what_is_late_is_not_sent(longest_ms):
    rng = np.random.default_rng(1)
    world = ArrivalWorld(LEAD_MS - 10, lambda: int(rng.choice([5, 12, longest_ms], p=[0.6, 0.3, 0.1])))
    missed = execute(world, chunks=60)
    assert world.use().kept, world.use()
    assert missed < 6
    assert world.published > 50


def test_after_one_long_hiccup_chunks_are_sent_again_at_once():
    durations = iter([900, *[12] * 100])
    world = ArrivalWorld(10, lambda: next(durations))
    plan, rng = MotionPlan(GR1.joint_slice, 0.05, GUARD, SPLICE_LEAD_S, "replace"), np.random.default_rng(0)
    with pytest.raises(Exception, match="inference is too slow for the horizon"):
        plan.follow(restless(rng, 1.0), world.time_ns, GR1.home_position, world)
    stamp_ns = world.time_ns
    plan.follow(restless(rng, 2.0), stamp_ns, GR1.home_position, world)
    assert world.published == 1


def test_a_chunk_that_was_missed_leaves_plan_and_strategy_as_they_were():
    world = ArrivalWorld(10)
    plan, rng = MotionPlan(GR1.joint_slice, 0.05, GUARD, SPLICE_LEAD_S, "rtc"), np.random.default_rng(0)
    plan.follow(restless(rng, 1.0), world.time_ns, GR1.home_position, world)
    world.go_on(1150 * MS)
    next_ns = 1150 * MS
    before, committed, durations = plan.running, plan.committed(next_ns), iter([50, 100, 150])
    world.preparing_ms = lambda: next(durations)
    with pytest.raises(SpliceMissedError, match="3 times in a row"):
        plan.follow(restless(rng, 2.0), world.time_ns, GR1.home_position, world)
    assert plan.running is before
    np.testing.assert_array_equal(plan.committed(next_ns).actions, committed.actions)
    assert world.published == 1


def test_a_chunk_is_not_sent_once_the_clock_was_set_back():
    world = ArrivalWorld(10)
    plan, rng = MotionPlan(GR1.joint_slice, 0.05, GUARD, SPLICE_LEAD_S, "replace"), np.random.default_rng(0)
    with pytest.raises(SpliceMissedError, match="set back"):
        plan.follow(restless(rng, 9.0), 9000 * MS, GR1.home_position, world)
    assert world.published == 0
