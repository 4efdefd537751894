"""Arming, commanded motion and clocks together: carries out what the state machine asks for, and reacts to clock steps.

Pure, so that the node and the tests of whole sequences of events run the same code.
"""

from collections.abc import Callable, Sequence

from dial_core.control.arming import Arming, Effect
from dial_core.control.motion import NANOSECONDS
from dial_core.control.motion_plan import MotionPlan, Outlet
from dial_core.control.robot_clock import Step, Which
from dial_core.errors import DialError


class MotionSupervisor:
    """Couples one Arming to one MotionPlan. Callers keep to one thread at a time."""

    def __init__(self, arming: Arming, plan: MotionPlan, outlet: Outlet, simulated: bool, reset_buffers: Callable[[], None]) -> None:
        """`simulated`: the robot's time is a simulator's, with which its controllers step; `reset_buffers` drops what was received."""
        self.arming, self.plan = arming, plan
        self._outlet, self._simulated, self._reset_buffers = outlet, simulated, reset_buffers

    def instruct(self, instruction_id: str, now_ns: int) -> Effect:
        """Arms for a new instruction, as `Arming.instruct`, and gives the controllers new time to execute what is sent."""
        if instruction_id != self.arming.instruction_id and self.plan.execution is not None:
            self.plan.execution.renew_patience(self._outlet.now_ns())
        return self.arming.instruct(instruction_id, now_ns)

    def carry_out(self, effect: Effect) -> None:
        """Carries out the effects of an event."""
        if Effect.HOLD in effect:
            self.plan.hold(self._outlet)
        if Effect.RESET_MOTION in effect:
            self.plan.reset()
        if Effect.RESET_BUFFERS in effect:
            self.plan.drop_chunks()
            self._reset_buffers()

    def react(self, steps: Sequence[Step], now_ns: int, cause: str = "") -> str:
        """Reacts to clock steps, and publishes a hold that is owed, or again if a controller missed it. Call it with every joint state.

        `cause` stands in the reason, where it is known: two clocks.

        Returns:
            Why the hold that is owed could not be computed, and stays owed; empty if none is, or it could.
        """
        for step in steps:
            restarted = step.which is Which.ROBOT and step.seconds < 0
            step_ns = round(step.seconds * NANOSECONDS)
            if step.which is Which.ROBOT and not restarted and self._simulated:
                self.plan.skip(self._outlet.now_ns(), step_ns)
            elif step.which is Which.ROBOT and not restarted:
                # On the system's time a controller counts periods: what it plays is not moved by the step, only its dates are.
                self.plan.shift(step_ns)
            if not step.followed:
                self.carry_out(self.arming.clock_stepped("; ".join(filter(None, (str(step), cause))), now_ns, restarted))
            elif restarted:
                # The own clock's step has disarmed before; an instruction given since is valid.
                self.carry_out(Effect.RESET_MOTION)
        try:
            if self.plan.hold_owed or self.plan.hold_missed(self._outlet):
                self.plan.hold(self._outlet, repeated=not self.plan.hold_owed)
        except DialError as error:
            return str(error)
        return ""
