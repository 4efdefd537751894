"""What the saboteur does to a message: a spoiler turns one that came into those that go on, each with a delay [s].

Every function here makes a spoiler; those that remember something (the picture before, the turn) remember it for one use.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from sensor_msgs.msg import Image, JointState

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.msg import LatentForesight
from dial_ros.node.messages import to_time

Delayed = tuple[float, Any]  # delay [s] of wall time, message
Spoiler = Callable[[Any], Sequence[Delayed]]

LATE_S = 0.05  # between two messages that must both be seen: foresight keeps the last one only


def untouched() -> Spoiler:
    """Everything goes on as it came."""
    return lambda message: [(0.0, message)]


def dropped() -> Spoiler:
    """Nothing goes on."""
    return lambda message: []


def delayed(delay_s: float) -> Spoiler:
    """Everything goes on, `delay_s` [s] late."""
    return lambda message: [(delay_s, message)]


def shifted_stamp(seconds: float) -> Spoiler:
    """The observation's stamp moves by `seconds` [s]; not before zero."""

    def spoil(message: Any) -> Sequence[Delayed]:
        message.header.stamp = to_time(max(to_ns(message.header.stamp) + round(seconds * NANOSECONDS), 0))
        return [(0.0, message)]

    return spoil


def with_field(name: str, value: object) -> Spoiler:
    """One field has another value."""

    def spoil(message: Any) -> Sequence[Delayed]:
        setattr(message, name, value)
        return [(0.0, message)]

    return spoil


def duplicated() -> Spoiler:
    """Every message comes twice."""
    return lambda message: [(0.0, message), (LATE_S, message)]


def out_of_order() -> Spoiler:
    """After every message the one before it comes again."""
    before: list[Any] = []

    def spoil(message: Any) -> Sequence[Delayed]:
        again = [(LATE_S, before.pop())] if before else []
        before.append(copy.deepcopy(message))
        return [(0.0, message), *again]

    return spoil


def foresight_with_nan() -> Spoiler:
    """The first token's first value is not a number."""

    def spoil(message: LatentForesight) -> Sequence[Delayed]:
        message.data[0:4] = type(message.data)("B", b"\x00\x00\xc0\x7f")  # float32 NaN, little endian
        return [(0.0, message)]

    return spoil


def foresight_of_other_shape() -> Spoiler:
    """One token less than the model makes, consistently."""

    def spoil(message: LatentForesight) -> Sequence[Delayed]:
        tokens, width = message.shape
        message.shape = [tokens - 1, width]
        message.data = message.data[: (tokens - 1) * width * 4]
        return [(0.0, message)]

    return spoil


def frozen_picture() -> Spoiler:
    """The first picture over and over, with new stamps, as drivers do that have lost their sensor."""
    first: list[Image] = []

    def spoil(message: Image) -> Sequence[Delayed]:
        if not first:
            first.append(copy.deepcopy(message))
        message.data = first[0].data
        return [(0.0, message)]

    return spoil


def half_size() -> Spoiler:
    """The upper half of the picture, consistently described."""

    def spoil(message: Image) -> Sequence[Delayed]:
        message.height //= 2
        message.data = message.data[: message.height * message.step]
        return [(0.0, message)]

    return spoil


def at_rate(camera_hz: float, wanted_hz: float) -> Spoiler:
    """Pictures at `wanted_hz` from a camera of `camera_hz` [Hz]: some left out, or some repeated in between with stamps of their own."""
    owed = [0.0]

    def spoil(message: Image) -> Sequence[Delayed]:
        owed[0] += wanted_hz / camera_hz
        count, gap_s = int(owed[0] + 1e-9), 1.0 / max(wanted_hz, camera_hz)
        owed[0] -= count
        sent = []
        for k in range(count):
            picture = copy.deepcopy(message)
            picture.header.stamp = to_time(to_ns(message.header.stamp) + round(k * gap_s * NANOSECONDS))
            sent.append((k * gap_s, picture))
        return sent

    return spoil


def without_first_joint() -> Spoiler:
    """The robot reports one joint less."""

    def spoil(message: JointState) -> Sequence[Delayed]:
        message.name, message.position, message.velocity = message.name[1:], message.position[1:], message.velocity[1:]
        return [(0.0, message)]

    return spoil


def reversed_joints() -> Spoiler:
    """The same joints in the opposite order."""

    def spoil(message: JointState) -> Sequence[Delayed]:
        message.name, message.position, message.velocity = message.name[::-1], message.position[::-1], message.velocity[::-1]
        return [(0.0, message)]

    return spoil


def joint_with_nan() -> Spoiler:
    """One joint's position is not a number."""

    def spoil(message: JointState) -> Sequence[Delayed]:
        message.position[3] = float("nan")
        return [(0.0, message)]

    return spoil


def extra_joint() -> Spoiler:
    """A joint that no embodiment knows comes first."""

    def spoil(message: JointState) -> Sequence[Delayed]:
        message.name = ["tail", *message.name]
        message.position, message.velocity = [0.7, *message.position], [0.0, *message.velocity]
        return [(0.0, message)]

    return spoil
