"""A joint that something keeps from where it is commanded: the next motion starts where the controller stands, not the joint."""

import numpy as np

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion_plan import SPLICE_LEAD_S, MotionPlan

from .test_arrival import GR1, GUARD, MS, ArrivalWorld, restless

S = 1_000_000_000


def test_a_joint_that_something_blocks_starts_where_its_controller_reports_to_stand():
    """Started where it is measured, it was commanded there from the controller's reference, at many times the acceleration limit."""
    world, rng = ArrivalWorld(transport_ms=10), np.random.default_rng(2)
    execution = ExecutedMotion({"arm": range(29)}, GR1.joint_names, max_divergence_rad=0.3)
    plan = MotionPlan(GR1.joint_slice, 0.05, GUARD, SPLICE_LEAD_S, "replace", execution)

    def wait(milliseconds):
        for _ in range(milliseconds // 10):
            world.go_on(world.time_ns + 10 * MS)
            execution.note_reference("arm", world.time_ns, world.arm.origin_ns, world.arm.command[0])

    def follow(measured):
        stamp_ns = world.time_ns
        wait(50)
        plan.follow(restless(rng, stamp_ns / S), stamp_ns, measured, world)
        wait(300)

    follow(GR1.home_position)
    plan.hold(world)
    wait(1000)
    follow(world.set_points[-1] - 0.25)
    assert world.published == 3
    assert world.use().acceleration <= 1.02
