"""The operator's services to stop and resume System-1: `pause`, `estop` and `reset_estop`."""

from collections.abc import Callable
from threading import RLock

from std_srvs.srv import SetBool, Trigger

from dial_core.control.arming import Arming, Effect, State
from dial_core.control.motion_plan import MotionPlan
from dial_core.errors import DialError
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.states import STOPPED

LATCHED = "latched until system1/reset_estop and a new instruction"
OWED = (
    "no deceleration is sent yet: the robot's clock is not known, or a controller that missed trajectories has not reported what it "
    "executes. It follows with the next joint state; until then the last trajectory continues, which ends at rest"
)
RETRIED = "It is tried again with every joint state; until then the last trajectory continues, which ends at rest"


class OperatorServices:
    """The services while the node is configured; active or not, an emergency stop latches."""

    def __init__(self, node: DialNode, arming: Arming, lock: RLock, carry_out: Callable[[Effect], None], plan: MotionPlan) -> None:
        """`carry_out` does what the state machine asks for, on `plan`, called with `lock` held."""
        self._node, self._arming, self._lock, self._carry_out, self._plan = node, arming, lock, carry_out, plan
        self._services = [
            node.create_service(SetBool, "~/pause", self._on_pause),
            node.create_service(Trigger, "~/estop", self._on_estop),
            node.create_service(Trigger, "~/reset_estop", self._on_reset_estop),
        ]

    def close(self) -> None:
        """Ends the services."""
        for service in self._services:
            self._node.destroy_service(service)

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not self._node.active:
            response.message = "system1 is not active: there is nothing to pause"
            return response
        with self._lock:
            event = self._arming.pause if request.data else self._arming.resume
            failure = self._carried_out(event(self._node.now_ns()))
            unsent = failure or (OWED if request.data and self._plan.hold_owed else "")
            response.success, response.message = not failure, f"{self._answer()}{f'; {unsent}' if unsent else ''}"
        return response

    def _on_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """It is latched whatever is answered; success: the deceleration was sent or is not due, or follows (see the message)."""
        with self._lock:
            effect = self._arming.estop("requested over system1/estop", self._node.now_ns())
            failure = self._carried_out(effect)
            response.success, unsent = not failure, failure or self._unsent(effect)
            response.message = f"{LATCHED}, but {unsent}" if unsent else f"{STOPPED}; {LATCHED}"
        self._node.get_logger().error(f"emergency stop requested{f': {unsent}' if unsent else ''}")
        return response

    def _carried_out(self, effect: Effect) -> str:
        """Carries out what the state machine asks for; returns why the deceleration could not be computed, empty if it could.

        An error would end the node, which must stay paused or stopped, and try again (see MotionSupervisor.react).
        """
        try:
            self._carry_out(effect)
        except DialError as error:
            return f"the deceleration could not be computed: {error}. {RETRIED}"
        return ""

    def _unsent(self, effect: Effect) -> str:
        """Why a stop has sent nothing; empty: it has."""
        if Effect.HOLD not in effect:
            return "nothing was sent, as System-1 is not active"
        if self._plan.running is None:
            return "nothing was sent, as System-1 has commanded no motion"
        return OWED if self._plan.hold_owed else ""

    def _on_reset_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            response.success = self._arming.stopped
            if response.success:
                self._carry_out(self._arming.reset_estop(self._node.now_ns()))
            response.message = self._answer() if response.success else "there is no emergency stop to reset"
        return response

    def _answer(self) -> str:
        state, reason = self._arming.state, self._arming.reason
        return state.value if state is State.RUNNING else f"{state.value}: {reason}"
