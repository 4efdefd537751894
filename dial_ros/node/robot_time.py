"""The robot's time for System-1: its own fresh clock, checked against the stamps of the robot's joint states. Safe from two threads."""

import threading
import time

from dial_core.control.robot_clock import STEP_S, RobotClock, Step
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.polled import FreshClock


class RobotTime:
    """A RobotClock fed with the node's clocks."""

    def __init__(self, node: DialNode) -> None:
        self._fresh = FreshClock(node, node.now_ns)
        self.simulated: bool = node.value("use_sim_time")
        self._clock = RobotClock(self.simulated)
        self._lock = threading.Lock()

    @property
    def offset_s(self) -> float:
        """How far the node's clock is ahead of the robot's [s]; 0 while latency explains the difference."""
        return self._clock.offset_s

    @property
    def misfit(self) -> str:
        """Why the clocks cannot be used: they are apart by more than latency explains. Empty: they can."""
        offset_s = self.offset_s
        if abs(offset_s) <= STEP_S:
            return ""
        side = "ahead of" if offset_s > 0 else "behind"
        return f"System-1's clock is {abs(offset_s):.1f} s {side} the stamps of the joint states; synchronise the clocks"

    def own_ns(self) -> int:
        """What the node's own clock shows [ns], by the newest tick: the executor may be some ticks behind."""
        with self._lock:
            return self._fresh.now_ns()

    def now_ns(self) -> int | None:
        """What the robot's clock shows [ns]; None from a clock step until the next joint state."""
        with self._lock:
            return self._clock.robot_ns(self._fresh.now_ns(), time.monotonic_ns())

    def note_joint_state(self, stamp_ns: int) -> None:
        """Takes the stamp of a joint state that has just arrived."""
        with self._lock:
            self._clock.note_joint_state(stamp_ns, self._fresh.now_ns(), time.monotonic_ns())

    def note_jump_back(self) -> None:
        """The node's own clock went back, by however little."""
        with self._lock:
            self._clock.note_jump_back(self._fresh.now_ns(), time.monotonic_ns())

    def take_steps(self) -> list[Step]:
        """The clock steps detected since the last call."""
        with self._lock:
            return self._clock.take_steps()

    def close(self) -> None:
        """Ends the subscription of the clock."""
        self._fresh.close()
