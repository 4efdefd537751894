"""What System-1 reports, so that the answer to an instruction says whether anything will move."""

import time

from dial_ros.msg import System1Status
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode

SILENT_S = 1.5  # of wall time: System-1 reports five times a second

OBSTACLES = {
    System1Status.STATE_INACTIVE: "System-1 is not active: nothing will move. Activate it, then instruct again",
    System1Status.STATE_STOPPED: "System-1 is stopped: nothing will move. Call system1/reset_estop, then instruct again",
    System1Status.STATE_PAUSED: "System-1 is paused: nothing will move until the pause ends",
}


class System1Watch:
    """Subscribes to System-1's status."""

    def __init__(self, node: DialNode) -> None:
        self._node = node
        self._newest: tuple[System1Status, float] | None = None  # and when it arrived [wall s]
        self._subscription = node.create_subscription(System1Status, "system1/status", self._on_status, qos.LATCHED)

    @property
    def obstacle(self) -> str:
        """Why an instruction that is given now will not move the robot; empty: nothing is known that keeps it from moving."""
        if self._newest is None:
            return "no System-1 reports its status: nothing will move"
        return obstacle_to_motion(self._newest[0], time.monotonic() - self._newest[1])

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _on_status(self, message: System1Status) -> None:
        self._newest = message, time.monotonic()


def obstacle_to_motion(status: System1Status, age_s: float) -> str:
    """Why a robot will not move for an instruction, by System-1's newest status of that age [s]; empty: it will."""
    if status.state in OBSTACLES:
        return OBSTACLES[status.state]
    if age_s > SILENT_S:
        return f"System-1 has not reported for {age_s:.1f} s: nothing will move"
    if status.state == System1Status.STATE_DISARMED and status.warning:
        return f"nothing will move: {status.warning}"
    return ""
