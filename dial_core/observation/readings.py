"""How messages become an observation: pixels of a frame, joints of its moment. One code for the live System-1 and for bags.

Nothing here imports ROS: a message is whatever has its fields, be it rclpy's or one that rosbags decoded.
"""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from dial_core.control.foresight_gate import Foresight
from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.control.robot_clock import in_order_ns
from dial_core.errors import DialError
from dial_core.finiteness import not_finite
from dial_core.observation.encodings import DEPTHS, ENCODINGS, VIDEOS, Encoding, to_rgb

JOINT_GAP_S = 0.05  # a frame needs a joint state at most this much older than itself
LONGEST_ID = 100  # [characters] of an instruction's id; a uuid has 36
_CUT = LONGEST_ID + 1  # names in a foresight are cut here: they end up in diagnostics, and one that long matches nothing
_CUT_DIMENSIONS = 5  # and its shape, which has two
LARGEST_IMAGE_PX = 8192  # a side, where the embodiment does not say how large the camera's images are
ENCODED_BYTES_PER_PIXEL = 7  # 16 bits a channel, not compressible at all
ENCODED_HEADER_BYTES = 65_536  # for metadata
CAMERA_GAP_S = 0.05  # and frames of the further cameras

T = TypeVar("T")


class UnreadableMessageError(DialError):
    """A message contradicts itself, or lacks what is needed."""


class StampedHistory(Generic[T]):
    """Recent values by stamp, so that a frame can be matched with the value at its own time."""

    def __init__(self, length: int = 200) -> None:
        self._entries: deque[tuple[int, T]] = deque(maxlen=length)

    def add(self, stamp_ns: int, value: T) -> None:
        """Adds the newest value; a stamp that jumps back means that the sender's clock did: older values are dropped."""
        if self._entries and stamp_ns < self._entries[-1][0]:
            self._entries.clear()
        self._entries.append((stamp_ns, value))

    def at(self, stamp_ns: int, max_gap_s: float) -> T | None:
        """Returns the last value at or before `stamp_ns`; None if it is more than `max_gap_s` [s] before it."""
        for entry_ns, value in reversed(self._entries):
            if entry_ns <= stamp_ns:
                return value if stamp_ns - entry_ns <= max_gap_s * NANOSECONDS else None
        return None

    @property
    def empty(self) -> bool:
        """Whether there are no values."""
        return not self._entries

    def clear(self) -> None:
        """Drops all values (the clock jumped)."""
        self._entries.clear()


class JointHistory(StampedHistory[np.ndarray]):
    """Recent joint positions (J,) [rad] by stamp: long enough for arms that report at 1 kHz beside a camera that is half a second late."""

    def __init__(self) -> None:
        super().__init__(length=1000)

    def add(self, stamp_ns: int, value: np.ndarray) -> None:
        """As of StampedHistory; a state of several broadcasters whose message was overtaken counts from the newest stamp on."""
        super().add(in_order_ns(stamp_ns, self._entries[-1][0] if self._entries else None), value)


class JointOrder:
    """Reads positions from JointState messages by joint name; caches their positions while the names stay the same."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._seen: list[str] | None = None
        self._index: np.ndarray = np.empty(0, dtype=np.intp)

    def positions(self, message: Any) -> np.ndarray:
        """Returns the positions (J,) [rad] of a JointState in our order; extra joints are ignored.

        Raises:
            UnreadableMessageError: a joint is missing, or has no position.
        """
        if message.name != self._seen:
            place = {name: i for i, name in enumerate(message.name)}
            missing = [name for name in self._names if name not in place]
            if missing:
                raise UnreadableMessageError(
                    f"joint state lacks {', '.join(missing)}; it has {', '.join(message.name) or 'no names'}. "
                    f"Check the embodiment's joint names against the robot's"
                )
            if len(place) < len(message.name):
                twice = next((name for name in self._names if list(message.name).count(name) > 1), None)
                if twice:
                    raise UnreadableMessageError(f"joint state names '{twice}' twice; which of the positions holds is unknown")
            self._index = np.array([place[name] for name in self._names], dtype=np.intp)
            self._seen = list(message.name)
        if len(message.position) != len(message.name):
            raise UnreadableMessageError(f"joint state names {len(message.name)} joints but has {len(message.position)} positions")
        positions = np.frombuffer(message.position, dtype=np.float64)[self._index]
        if found := not_finite(positions, self._names):
            raise UnreadableMessageError(f"positions of the joint state: {found}")
        return positions


def require_readable_image(message: Any, size: tuple[int, int] | None = None) -> None:
    """Checks an Image or CompressedImage without decoding it; `size`: the height and width [px] that it must have.

    Raises:
        UnreadableMessageError: another size, an encoding without colours, or fewer bytes than it says.
    """
    if hasattr(message, "format"):  # a CompressedImage
        if not len(message.data):
            raise UnreadableMessageError(f"compressed image '{message.format}' is empty; check the camera driver")
        _require_colours(message)
        _require_decodable(message, size)
        return
    _require_size(message.height, message.width, size)
    encoding = ENCODINGS.get(message.encoding.lower())
    if encoding is None:
        what = "is that of a depth image" if message.encoding.lower() in DEPTHS else "does not say which colours it has"
        raise UnreadableMessageError(f"image encoding '{message.encoding}' {what}; use one of: {', '.join(ENCODINGS)}")
    smallest = encoding.smallest_step(message.width)
    if message.step < smallest or len(message.data) < int(message.height * encoding.rows) * message.step:
        raise UnreadableMessageError(
            f"image of {message.height}x{message.width} {message.encoding} with step {message.step} holds {len(message.data)} bytes, "
            f"too few; check the camera driver"
        )


def image_from_message(message: Any, size: tuple[int, int] | None = None) -> np.ndarray:
    """Pixels (H, W, 3) uint8 RGB of an Image (rgb8, bgr8: a view of it) or CompressedImage. `size`: as in `require_readable_image`.

    Raises:
        UnreadableMessageError: as `require_readable_image`, or a compressed image that cannot be decoded.
    """
    require_readable_image(message, size)
    if hasattr(message, "format"):
        pixels = _decompressed(message)
        _require_size(pixels.shape[0], pixels.shape[1], size)
        return pixels
    encoding = ENCODINGS[message.encoding.lower()]
    height = int(message.height * encoding.rows)
    rows = np.frombuffer(message.data, dtype=np.uint8, count=height * message.step).reshape(height, message.step)
    return _rgb(rows, message.width, encoding, bool(message.is_bigendian))


def _require_size(height: int, width: int, size: tuple[int, int] | None) -> None:
    if size and (height, width) != size:
        raise UnreadableMessageError(
            f"image is {height}x{width}, the embodiment says that the camera gives {size[0]}x{size[1]}; set the one or the other"
        )


def _rgb(rows: np.ndarray, width: int, encoding: Encoding, big_endian: bool = False) -> np.ndarray:
    try:
        return to_rgb(rows, width, encoding, big_endian)
    except ValueError as error:
        raise UnreadableMessageError(f"image cannot be converted: {error}") from error


def _formats(message: Any) -> tuple[str, str]:
    """Parses a CompressedImage's `format`: the encoding of the original, and how it was compressed ("jpeg compressed bgr8"); lower case."""
    original, separator, compressed = message.format.lower().partition(";")
    return (original.strip(), compressed.strip()) if separator else ("", original.strip())


def _require_colours(message: Any) -> None:
    """Raises UnreadableMessageError for a CompressedImage that holds depth or a video stream."""
    original, compressed = _formats(message)
    data = bytes(message.data[:26])
    grey16 = data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:26] == b"\x10\x00"  # a PNG's bit depth and colour type
    if original in DEPTHS or "compresseddepth" in compressed or (grey16 and original not in ENCODINGS):
        raise UnreadableMessageError(f"compressed image '{message.format}' is a depth image; name the topic of the colours")
    if original in VIDEOS or compressed.split(" ")[0] in VIDEOS:
        raise UnreadableMessageError(f"compressed image '{message.format}' is part of a video stream; record jpeg, png or raw images")


def _require_decodable(message: Any, size: tuple[int, int] | None) -> None:
    """Checks a CompressedImage by its length and its header alone: decoding an image of 12000x12000 takes seconds and 400 MB.

    Raises:
        UnreadableMessageError: longer than its pixels can need, not an image, or of another size.
    """
    from PIL import Image, UnidentifiedImageError

    height, width = size or (LARGEST_IMAGE_PX, LARGEST_IMAGE_PX)
    longest = ENCODED_BYTES_PER_PIXEL * height * width + ENCODED_HEADER_BYTES
    if len(message.data) > longest:
        raise UnreadableMessageError(
            f"compressed image '{message.format}' has {len(message.data)} bytes, at most {longest} are decoded for {height}x{width}"
        )
    try:
        with Image.open(io.BytesIO(message.data)) as image:  # reads the header only
            found = image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise UnreadableMessageError(_undecodable(message)) from error
    if size is None and max(found) > LARGEST_IMAGE_PX:
        raise UnreadableMessageError(f"compressed image is {found[1]}x{found[0]}; at most {LARGEST_IMAGE_PX} pixels a side are decoded")
    if size and sorted(found) != sorted(size):  # EXIF may turn it while it is decoded
        _require_size(found[1], found[0], size)


def _undecodable(message: Any) -> str:
    return f"compressed image '{message.format}' of {len(message.data)} bytes cannot be decoded; is it jpeg or png?"


def _decompressed(message: Any) -> np.ndarray:
    """Pixels (H, W, 3) uint8 RGB of a CompressedImage, as image_transport's subscriber reads its `format`."""
    import cv2

    original, compressed = _formats(message)
    mosaic = ENCODINGS.get(original) if original.startswith("bayer_") else None
    how = cv2.IMREAD_UNCHANGED if mosaic else cv2.IMREAD_COLOR
    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), how)
    if decoded is None:
        raise UnreadableMessageError(_undecodable(message))
    if mosaic and decoded.ndim == 2:
        rows = np.ascontiguousarray(decoded).view(np.uint8).reshape(len(decoded), -1)
        return _rgb(rows, decoded.shape[1], mosaic._replace(element=f"u{decoded.itemsize}"))
    if mosaic:  # its driver took the mosaic apart before it compressed
        decoded = decoded[..., :3] if decoded.dtype == np.uint8 else (decoded[..., :3] // 257).astype(np.uint8)
    return decoded if "compressed rgb" in compressed else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def foresight_from_message(message: Any) -> Foresight:
    """The foresight of a LatentForesight message. Tokens are float32; flat if they do not fill the shape, empty for an unknown dtype."""
    shape = tuple(int(n) for n in message.shape[:_CUT_DIMENSIONS])
    tokens: np.ndarray = np.empty(0, dtype=np.float32)
    if message.dtype in ("float32", "float16"):
        element = np.dtype(message.dtype).newbyteorder("<")
        whole = len(message.data) // element.itemsize
        tokens = np.frombuffer(message.data, dtype=element, count=whole)
        # Bytes left over, or too few, stay flat: the gate then refuses the shape.
        if len(message.shape) == 2 and len(message.data) == element.itemsize * math.prod(shape):
            tokens = tokens.reshape(shape)
    return Foresight(
        tokens=tokens,
        shape=shape,
        dtype=message.dtype[:_CUT],
        stamp_ns=to_ns(message.header.stamp),
        seq=message.seq,
        instruction_id=message.instruction_id[:_CUT],
        model_id=message.model_id[:_CUT],
    )
