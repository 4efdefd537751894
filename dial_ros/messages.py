"""Messages <-> numpy, in one place. Bulk data leaves as `array.array` and arrives as `np.frombuffer`: no copy by element."""

import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image, JointState

from dial_core.errors import DialError
from dial_core.runtime.foresight_gate import Foresight
from dial_core.runtime.motion import NANOSECONDS
from dial_ros.encodings import ENCODINGS, to_rgb
from dial_ros.msg import Instruction, LatentForesight

LONGEST_TEXT = 10_000  # [characters] of an instruction; system2 accepts at most so many, whatever it is set to
LONGEST_ID = 100  # [characters]; a uuid has 36
_CUT = LONGEST_ID + 1  # names in a foresight are cut here: they end up in diagnostics, and one that long matches nothing


class UnreadableMessageError(DialError):
    """A message that arrived does not hold what its fields promise, or what we need."""


def to_ns(time: Time) -> int:
    """Nanoseconds of a stamp."""
    return time.sec * NANOSECONDS + time.nanosec


def to_time(time_ns: int) -> Time:
    """The stamp of `time_ns` (not negative)."""
    return Time(sec=time_ns // NANOSECONDS, nanosec=time_ns % NANOSECONDS)


def require_bounded(message: Instruction) -> None:
    """An instruction is echoed in every status: whoever publishes one must not fill the network with it.

    Raises:
        UnreadableMessageError: text or id is too long, or the id is empty.
    """
    if len(message.text) > LONGEST_TEXT:
        raise UnreadableMessageError(f"instruction has {len(message.text)} characters, at most {LONGEST_TEXT} are read")
    if not 0 < len(message.instruction_id) <= LONGEST_ID:
        raise UnreadableMessageError(f"instruction id has {len(message.instruction_id)} characters, 1 to {LONGEST_ID} are read")


def require_readable_image(message: Image | CompressedImage, size: tuple[int, int] | None = None) -> None:
    """What can be told of a picture without decoding it; `size`: the height and width [px] that it must have.

    Raises:
        UnreadableMessageError: another size, an encoding without colours, or fewer bytes than it says.
    """
    if isinstance(message, CompressedImage):
        if not len(message.data):
            raise UnreadableMessageError(f"compressed image '{message.format}' is empty; check the camera driver")
        return
    _require_size(message.height, message.width, size)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise UnreadableMessageError(f"image encoding '{message.encoding}' has no colours; use one of: {', '.join(ENCODINGS)}")
    smallest = message.width * encoding.channels * np.dtype(encoding.element).itemsize
    if message.step < smallest or len(message.data) < message.height * message.step:
        raise UnreadableMessageError(
            f"image of {message.height}x{message.width} {message.encoding} with step {message.step} holds {len(message.data)} bytes, "
            f"too few; check the camera driver"
        )


def image_from_message(message: Image | CompressedImage, size: tuple[int, int] | None = None) -> np.ndarray:
    """Pixels (H, W, 3) uint8 RGB; of rgb8 and bgr8 a view of the message. `size`: as in `require_readable_image`.

    Raises:
        UnreadableMessageError: as `require_readable_image`, or a compressed image that cannot be decoded.
    """
    require_readable_image(message, size)
    if isinstance(message, CompressedImage):
        pixels = _decompressed(message)
        _require_size(*pixels.shape[:2], size)
        return pixels
    rows = np.frombuffer(message.data, dtype=np.uint8, count=message.height * message.step).reshape(message.height, message.step)
    return to_rgb(rows, message.width, ENCODINGS[message.encoding], bool(message.is_bigendian))


def _require_size(height: int, width: int, size: tuple[int, int] | None) -> None:
    if size and (height, width) != size:
        raise UnreadableMessageError(
            f"image is {height}x{width}, the embodiment says that the camera gives {size[0]}x{size[1]}; set the one or the other"
        )


def _decompressed(message: CompressedImage) -> np.ndarray:
    import cv2

    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise UnreadableMessageError(
            f"compressed image '{message.format}' of {len(message.data)} bytes cannot be decoded; is it jpeg or png?"
        )
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def image_to_message(pixels: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """An rgb8 Image of `pixels` (H, W, 3) uint8."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8", step=3 * pixels.shape[1])
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    message.data = array.array("B", np.ascontiguousarray(pixels, dtype=np.uint8).tobytes())
    return message


def foresight_from_message(message: LatentForesight) -> Foresight:
    """The foresight as it came. Tokens are float32; flat if they do not fill the shape, empty if the dtype is unknown."""
    shape = tuple(int(n) for n in message.shape)
    tokens = np.empty(0, dtype=np.float32)
    if message.dtype in ("float32", "float16"):
        element = np.dtype(message.dtype).newbyteorder("<")
        whole = len(message.data) // element.itemsize
        tokens = np.frombuffer(message.data, dtype=element, count=whole)
        # Bytes left over, or too few, stay flat: the gate then refuses the shape.
        if len(message.data) == element.itemsize * int(np.prod(shape)):
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


def foresight_to_message(foresight: Foresight, publish_ns: int, frame_id: str, horizon_s: float) -> LatentForesight:
    """The LatentForesight of `foresight`, stamped with its observation's time."""
    message = LatentForesight(
        seq=foresight.seq,
        instruction_id=foresight.instruction_id,
        model_id=foresight.model_id,
        horizon=horizon_s,
        shape=array.array("I", foresight.shape),
        dtype=foresight.dtype,
    )
    message.header.stamp = to_time(foresight.stamp_ns)
    message.header.frame_id = frame_id
    message.publish_stamp = to_time(publish_ns)
    element = np.dtype(foresight.dtype).newbyteorder("<")
    message.data = array.array("B", np.ascontiguousarray(foresight.tokens, dtype=element).tobytes())
    return message


class JointOrder:
    """Reads positions from JointState messages by joint name; remembers where they stand while the names stay."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._seen: list[str] | None = None
        self._index = np.empty(0, dtype=np.intp)

    def positions(self, message: JointState) -> np.ndarray:
        """Positions (J,) [rad] in our order; extra joints are ignored.

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
            self._index = np.array([place[name] for name in self._names], dtype=np.intp)
            self._seen = list(message.name)
        if len(message.position) != len(message.name):
            raise UnreadableMessageError(f"joint state names {len(message.name)} joints but has {len(message.position)} positions")
        positions = np.frombuffer(message.position, dtype=np.float64)[self._index]
        if not np.isfinite(positions).all():
            bad = [name for name, ok in zip(self._names, np.isfinite(positions), strict=True) if not ok]
            raise UnreadableMessageError(f"joint state has positions that are not finite: {', '.join(bad)}")
        return positions
