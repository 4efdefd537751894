"""Camera subscription of a node: receives Image or CompressedImage, keeps frames by stamp, returns pixels fitted to the contract."""

import array
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.errors import DialError
from dial_core.observation.camera_view import CameraView, fit_view
from dial_core.observation.readings import StampedHistory, UnreadableMessageError, image_from_message, require_readable_image
from dial_core.robot.embodiment import Camera
from dial_ros.node import qos
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.messages import image_to_message
from dial_ros.node.rates import Rate, StampedStream

TRANSPORTS = ("raw", "compressed")
FUTURE_TOLERANCE_S = 0.5  # more than the transport ever hides; a stamp beyond it comes from a clock that is not synchronised
KEPT_FRAMES = 8


@dataclass(frozen=True)
class Frame:
    """One received image with its stamp and its time of receipt, both in ROS time [ns]."""

    message: Image | CompressedImage
    stamp_ns: int
    received_ns: int


class CameraInput:
    """Subscribes to one camera. Calls `on_frame` with every readable new frame, and `on_refusal` with the reason if one is not.

    A frame is checked on receipt by its message fields, and decoded only when it is used. After a decoding error every
    frame is decoded on receipt until one succeeds: a camera that sends corrupted data must count as silent.
    """

    def __init__(
        self,
        node: DialNode,
        view: CameraView,
        camera: Camera,
        transport: str,
        on_frame: Callable[[Frame], None],
        on_refusal: Callable[[str], None],
        frozen_timeout_s: float = 0.0,
    ) -> None:
        """Subscribes to `image/<camera>`, or below it to `compressed`. Raises DialError for an unknown transport.

        `frozen_timeout_s`: frames that repeat one image for longer are refused [s]; 0 disables the check.
        """
        if transport not in TRANSPORTS:
            raise DialError(f"image_transport '{transport}' is not known; choose one of: {', '.join(TRANSPORTS)}")
        self.view, self.arrivals, self.rate = view, StampedStream(), Rate()
        self._node, self._size = node, (camera.height, camera.width)
        self._on_frame, self._on_refusal = on_frame, on_refusal
        self._frames: StampedHistory[Frame] = StampedHistory(KEPT_FRAMES)
        self._decodes = True
        self._frozen_timeout_s = frozen_timeout_s
        self._repeated: tuple[int, int] = (0, 0)  # checksum of the newest image, and since when it is the same [ns]
        self._kind, ending = (Image, "") if transport == "raw" else (CompressedImage, "/compressed")
        self._subscription = node.create_subscription(self._kind, f"image/{view.name}{ending}", self._on_message, qos.SENSOR)

    def warm_up(self) -> None:
        """Decodes and fits one black image of the camera's own size: what that imports, a moving robot must not wait for."""
        fit_view(image_from_message(self._black_image(), self._size), self.view)

    def pixels(self, frame: Frame) -> np.ndarray:
        """Decodes a frame and fits it to the model: (H, W, 3) uint8 RGB. Raises UnreadableMessageError."""
        try:
            pixels = fit_view(image_from_message(frame.message, self._size), self.view)
        except UnreadableMessageError:
            self._decodes = False
            raise
        self._decodes = True
        return pixels

    def before(self, stamp_ns: int, max_gap_s: float) -> Frame | None:
        """Returns the newest frame at or before `stamp_ns`; None if it is more than `max_gap_s` [s] before it."""
        return self._frames.at(stamp_ns, max_gap_s)

    def clear(self) -> None:
        """Drops all frames (the clock jumped)."""
        self.arrivals.clear()
        self.rate.clear()
        self._frames.clear()

    def close(self) -> None:
        """Destroys the subscription."""
        self._node.destroy_subscription(self._subscription)

    def _black_image(self) -> Image | CompressedImage:
        """An image of the camera's size, in the transport that is subscribed."""
        pixels = np.zeros((*self._size, 3), np.uint8)
        if self._kind is Image:
            return image_to_message(pixels, 0, "")
        from PIL import Image as PilImage  # as the decoder does: only with this transport

        encoded = io.BytesIO()
        PilImage.fromarray(pixels).save(encoded, "jpeg")
        return CompressedImage(format="jpeg", data=array.array("B", encoded.getvalue()))

    def _on_message(self, message: Image | CompressedImage) -> None:
        if not self._node.active:
            return
        frame = Frame(message, to_ns(message.header.stamp), self._node.now_ns())
        ahead_s = (frame.stamp_ns - frame.received_ns) / NANOSECONDS
        if ahead_s > FUTURE_TOLERANCE_S:
            self._on_refusal(f"image of camera '{self.view.name}' is stamped {ahead_s:.2f} s in the future; synchronise the clocks")
            return
        if not self.arrivals.take(frame.stamp_ns):
            return
        self.rate.tick(frame.received_ns)
        try:
            require_readable_image(message, self._size)
            self._require_change(frame)
            if not self._decodes:
                self.pixels(frame)
        except UnreadableMessageError as error:
            self._on_refusal(f"camera '{self.view.name}': {error}")
            return
        self._frames.add(frame.stamp_ns, frame)
        self._on_frame(frame)

    def _require_change(self, frame: Frame) -> None:
        """Refuses an image that repeats for too long: a driver that lost its sensor may keep sending the last one with new stamps."""
        if not self._frozen_timeout_s:
            return
        checksum = zlib.adler32(frame.message.data)
        if checksum != self._repeated[0] or frame.stamp_ns < self._repeated[1]:
            self._repeated = (checksum, frame.stamp_ns)
        frozen_s = (frame.stamp_ns - self._repeated[1]) / NANOSECONDS
        if frozen_s > self._frozen_timeout_s:
            raise UnreadableMessageError(f"the same image for {frozen_s:.2f} s; is the camera frozen?")
