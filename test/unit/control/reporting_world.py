"""A controller that reports after every update what it executes, and the chunks that it is sent."""

import numpy as np

from dial_core.control.executed_motion import ExecutedMotion
from dial_core.control.motion_plan import SPLICE_LEAD_S, MotionPlan
from dial_core.control.send_conditions import SpliceMissedError
from dial_core.robot.embodiment import load_embodiment

from .test_arrival import GR1, GUARD, MS, ArrivalWorld, restless

S = 1_000_000_000


class ReportingWorld(ArrivalWorld):
    """The arm reports after every update which trajectory it plays; the origin that it reports may drift."""

    execution = None
    drift_ns = 0
    names_origin = True  # controllers before ros2_controllers 4.34 leave time_from_start at zero

    def go_on(self, until_ns):
        while self.time_ns + 10 * MS <= until_ns:
            super().go_on(self.time_ns + 10 * MS)
            if self.execution is not None:
                known = self.arm.origin_ns is not None and self.names_origin
                origin_ns = self.arm.origin_ns + self.drift_ns if known else None
                self.execution.note_reference("arm", self.time_ns, origin_ns, self.arm.command[0])


def follow_chunks(world, plan, count):
    """Chunk after chunk every 150 ms; how many were not sent."""
    rng, dropped = np.random.default_rng(0), 0
    for _ in range(count):
        stamp_ns = world.time_ns
        world.go_on(stamp_ns + 80 * MS)
        try:
            plan.follow(restless(rng, stamp_ns / S), stamp_ns, world.arm.command[0], world)
        except SpliceMissedError:
            dropped += 1
        world.go_on(stamp_ns + 150 * MS)
    return dropped


def reporting(transport_ms):
    world = ReportingWorld(transport_ms)
    execution = ExecutedMotion({"arm": range(29)}, load_embodiment("gr1").joint_names, 0.3)
    world.execution = execution
    return world, MotionPlan(GR1.joint_slice, 0.05, GUARD, SPLICE_LEAD_S, "replace", execution)
