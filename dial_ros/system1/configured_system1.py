"""What System-1 makes in `configure` and destroys in `cleanup`, in one object: it exists exactly while the node is configured."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rclpy.publisher import Publisher

from dial_core.control.supervisor import MotionSupervisor
from dial_core.robot.embodiment import Embodiment
from dial_ros.node.robot_limits import Limits
from dial_ros.node.robot_time import RobotTime
from dial_ros.system1.commander import Commander
from dial_ros.system1.execution_feedback import ExecutionFeedback
from dial_ros.system1.senses import Senses

if TYPE_CHECKING:
    from dial_core.inference.system1_session import System1Session


@dataclass
class ConfiguredSystem1:
    """Model, robot and connections of a configured System-1. `connections` destroys every connection when closed."""

    session: System1Session
    embodiment: Embodiment
    robot_time: RobotTime
    limits: Limits
    feedback: ExecutionFeedback
    commander: Commander
    supervisor: MotionSupervisor
    senses: Senses
    status_out: Publisher
    connections: ExitStack
