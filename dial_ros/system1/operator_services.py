"""The operator's services to stop and resume System-1: `pause`, `estop` and `reset_estop`."""

from collections.abc import Callable
from threading import RLock

from std_srvs.srv import SetBool, Trigger

from dial_core.control.arming import Arming, Effect, State
from dial_ros.node.lifecycle import DialNode


class OperatorServices:
    """The services while the node is configured; active or not, an emergency stop latches."""

    def __init__(self, node: DialNode, arming: Arming, lock: RLock, carry_out: Callable[[Effect], None]) -> None:
        """`carry_out` does what the state machine asks for, called with `lock` held."""
        self._node, self._arming, self._lock, self._carry_out = node, arming, lock, carry_out
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
            self._carry_out(event(self._node.now_ns()))
            response.success, response.message = True, self._answer()
        return response

    def _on_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self._carry_out(self._arming.estop("requested over system1/estop", self._node.now_ns()))
            response.success = True
            response.message = "stopped; latched until system1/reset_estop and a new instruction"
        self._node.get_logger().error("emergency stop requested")
        return response

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
