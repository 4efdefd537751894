"""What System-2 makes in `configure` and destroys in `cleanup`, in one object: it exists exactly while the node is configured."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rclpy.publisher import Publisher

from dial_core.checkpoint.trained_on import TrainedOn
from dial_ros.node.cameras import CameraInput
from dial_ros.system2.system1_watch import System1Watch

if TYPE_CHECKING:
    from dial_core.inference.system2_session import System2Session


@dataclass(frozen=True)
class ConfiguredSystem2:
    """Model and connections of a configured System-2. `connections` destroys every connection when closed."""

    session: System2Session
    trained_on: TrainedOn
    camera: CameraInput
    system1: System1Watch
    foresight_out: Publisher
    instruction_out: Publisher
    status_out: Publisher
    image_out: Publisher | None  # with parameter foresight_image
    errors_out: tuple[Publisher, Publisher]  # of the foresight, and of the expectation that nothing changes
    connections: ExitStack
