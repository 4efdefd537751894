"""What the fault injector does to a message: a corruption maps one received message to those sent on, each with a delay [s].

Every function here returns a new corruption; one with memory (the previous image, the next turn) is for one use.
"""

import copy
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.msg import LatentForesight
from dial_ros.node.messages import to_time

Delayed = tuple[float, Any]  # delay [s] of the robot's time, message
Corruption = Callable[[Any], Sequence[Delayed]]

LATE_S = 0.05  # between two messages that must both be received: foresight keeps the last one only


def unchanged() -> Corruption:
    """Every message is sent on as it was received."""
    return lambda message: [(0.0, message)]


def dropped() -> Corruption:
    """No message is sent on."""
    return lambda message: []


def delayed(delay_s: float) -> Corruption:
    """Every message is sent on `delay_s` [s] later."""
    return lambda message: [(delay_s, message)]


def shifted_stamp(seconds: float) -> Corruption:
    """The header's stamp is shifted by `seconds` [s], not below zero."""

    def corrupt(message: Any) -> Sequence[Delayed]:
        message.header.stamp = to_time(max(to_ns(message.header.stamp) + round(seconds * NANOSECONDS), 0))
        return [(0.0, message)]

    return corrupt


def shifted_clock(seconds: float) -> Corruption:
    """The clock is shifted by `seconds` [s], not below zero."""

    def corrupt(message: Any) -> Sequence[Delayed]:
        message.clock = to_time(max(to_ns(message.clock) + round(seconds * NANOSECONDS), 0))
        return [(0.0, message)]

    return corrupt


def with_field(name: str, value: object) -> Corruption:
    """One field has another value."""

    def corrupt(message: Any) -> Sequence[Delayed]:
        setattr(message, name, value)
        return [(0.0, message)]

    return corrupt


def duplicated() -> Corruption:
    """Every message is sent twice."""
    return lambda message: [(0.0, message), (LATE_S, message)]


def out_of_order() -> Corruption:
    """After every message the previous one is sent again."""
    previous: list[Any] = []

    def corrupt(message: Any) -> Sequence[Delayed]:
        again = [(LATE_S, previous.pop())] if previous else []
        previous.append(copy.deepcopy(message))
        return [(0.0, message), *again]

    return corrupt


def foresight_with_nan() -> Corruption:
    """The first value of the first token is NaN."""

    def corrupt(message: LatentForesight) -> Sequence[Delayed]:
        message.data[0:4] = type(message.data)("B", b"\x00\x00\xc0\x7f")  # float32 NaN, little endian
        return [(0.0, message)]

    return corrupt


def foresight_of_other_shape() -> Corruption:
    """One token fewer than the model makes, with a shape that says so."""

    def corrupt(message: LatentForesight) -> Sequence[Delayed]:
        tokens, width = message.shape
        message.shape = [tokens - 1, width]
        message.data = message.data[: (tokens - 1) * width * 4]
        return [(0.0, message)]

    return corrupt


def frozen_image() -> Corruption:
    """The first image repeats with new stamps, as from a driver that has lost its sensor."""
    first: list[Image] = []

    def corrupt(message: Image) -> Sequence[Delayed]:
        if not first:
            first.append(copy.deepcopy(message))
        message.data = first[0].data
        return [(0.0, message)]

    return corrupt


def half_size() -> Corruption:
    """The upper half of the image, with a height that says so."""

    def corrupt(message: Image) -> Sequence[Delayed]:
        message.height //= 2
        message.data = message.data[: message.height * message.step]
        return [(0.0, message)]

    return corrupt


def at_rate(camera_hz: float, wanted_hz: float) -> Corruption:
    """Images at `wanted_hz` from a camera of `camera_hz` [Hz]: some left out, or some repeated in between with their own stamps."""
    owed = [0.0]

    def corrupt(message: Image) -> Sequence[Delayed]:
        owed[0] += wanted_hz / camera_hz
        count, gap_s = int(owed[0] + 1e-9), 1.0 / max(wanted_hz, camera_hz)
        owed[0] -= count
        sent = []
        for k in range(count):
            image = copy.deepcopy(message)
            image.header.stamp = to_time(to_ns(message.header.stamp) + round(k * gap_s * NANOSECONDS))
            sent.append((k * gap_s, image))
        return sent

    return corrupt


def decompression_bomb(side_px: int) -> Corruption:
    """A valid PNG of `side_px` x `side_px` RGB pixels, all black: a few hundred kB that decode to gigabytes."""
    data = _black_png(side_px)

    def corrupt(message: CompressedImage) -> Sequence[Delayed]:
        message.format, message.data = "png", data
        return [(0.0, message)]

    return corrupt


def without_first_joint() -> Corruption:
    """The robot reports one joint fewer."""

    def corrupt(message: JointState) -> Sequence[Delayed]:
        message.name, message.position, message.velocity = message.name[1:], message.position[1:], message.velocity[1:]
        return [(0.0, message)]

    return corrupt


def reversed_joints() -> Corruption:
    """The same joints in reverse order."""

    def corrupt(message: JointState) -> Sequence[Delayed]:
        message.name, message.position, message.velocity = message.name[::-1], message.position[::-1], message.velocity[::-1]
        return [(0.0, message)]

    return corrupt


def joint_with_nan() -> Corruption:
    """One joint's position is NaN."""

    def corrupt(message: JointState) -> Sequence[Delayed]:
        message.position[3] = float("nan")
        return [(0.0, message)]

    return corrupt


def extra_joint() -> Corruption:
    """A joint that no embodiment has comes first."""

    def corrupt(message: JointState) -> Sequence[Delayed]:
        message.name = ["tail", *message.name]
        message.position, message.velocity = [0.7, *message.position], [0.0, *message.velocity]
        return [(0.0, message)]

    return corrupt


def ending_in_motion() -> Corruption:
    """The last point of a trajectory has a velocity: every joint_trajectory_controller with default parameters rejects it."""

    def corrupt(message: JointTrajectory) -> Sequence[Delayed]:
        message.points[-1].velocities = [0.01] * len(message.joint_names)
        return [(0.0, message)]

    return corrupt


def _black_png(side_px: int) -> bytes:
    """A black RGB image as PNG, compressed row by row: the pixels are never in memory at once."""

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    compressor, row = zlib.compressobj(9), bytes(1 + 3 * side_px)
    pixels = b"".join(compressor.compress(row) for _ in range(side_px)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", pixels) + block(b"IEND", b"")
