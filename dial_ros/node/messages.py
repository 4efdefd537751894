"""Messages <-> numpy. Bulk data leaves as `array.array` and arrives as `np.frombuffer`: no copy by element.

What an observation is made of (images, joint states) is read by dial_core.observation.readings, which bags share.
"""

import array

import numpy as np
from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import Image

from dial_core.control.foresight_gate import Foresight
from dial_core.control.motion import NANOSECONDS
from dial_core.observation.readings import LONGEST_ID, UnreadableMessageError
from dial_ros.msg import Instruction, LatentForesight

LONGEST_TEXT = 10_000  # [characters] of an instruction; system2 accepts at most so many, whatever it is set to


def to_time(time_ns: int) -> Time:
    """Returns the stamp of `time_ns` (not negative)."""
    return Time(sec=time_ns // NANOSECONDS, nanosec=time_ns % NANOSECONDS)


def to_duration(duration_s: float) -> Duration:
    """Returns the message of a duration [s], rounded to nanoseconds."""
    duration_ns = round(duration_s * NANOSECONDS)
    return Duration(sec=duration_ns // NANOSECONDS, nanosec=duration_ns % NANOSECONDS)


def require_bounded(message: Instruction) -> None:
    """An instruction is echoed in every status: whoever publishes one must not fill the network with it.

    Raises:
        UnreadableMessageError: text or id is too long, or the id is empty.
    """
    if len(message.text) > LONGEST_TEXT:
        raise UnreadableMessageError(f"instruction has {len(message.text)} characters, at most {LONGEST_TEXT} are read")
    if not 0 < len(message.instruction_id) <= LONGEST_ID:
        raise UnreadableMessageError(f"instruction id has {len(message.instruction_id)} characters, 1 to {LONGEST_ID} are read")


def image_to_message(pixels: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """Returns an rgb8 Image of `pixels` (H, W, 3) uint8."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding="rgb8", step=3 * pixels.shape[1])
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = frame_id
    message.data = array.array("B", np.ascontiguousarray(pixels, dtype=np.uint8).tobytes())
    return message


def foresight_to_message(foresight: Foresight, publish_ns: int, frame_id: str, horizon_s: float) -> LatentForesight:
    """Returns the LatentForesight of `foresight`, stamped with its observation's time."""
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
