"""Messages <-> numpy."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image, JointState

from dial_core.runtime.foresight_gate import Foresight
from dial_ros.messages import (
    JointOrder,
    UnreadableMessageError,
    foresight_from_message,
    foresight_to_message,
    image_from_message,
    image_to_message,
    to_ns,
    to_time,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def test_stamps_come_back_exactly():
    assert to_ns(to_time(1_763_971_200_123_456_789)) == 1_763_971_200_123_456_789


def test_an_image_comes_back_as_it_was():
    message = image_to_message(PIXELS, 5, "head")
    np.testing.assert_array_equal(image_from_message(message), PIXELS)
    assert (message.encoding, message.step, message.header.frame_id) == ("rgb8", 18, "head")


def test_padded_rows_and_bgr_order_are_read():
    rows = np.zeros((4, 20), np.uint8)
    rows[:, :18] = PIXELS[:, :, ::-1].reshape(4, 18)
    message = Image(height=4, width=6, encoding="bgr8", step=20, data=array.array("B", rows.tobytes()))
    np.testing.assert_array_equal(image_from_message(message), PIXELS)


def test_another_encoding_or_too_few_bytes_is_refused_with_the_reason():
    message = image_to_message(PIXELS, 5, "head")
    message.encoding = "mono8"
    with pytest.raises(UnreadableMessageError, match="'mono8' is not supported; use one of: rgb8, bgr8"):
        image_from_message(message)
    short = image_to_message(PIXELS, 5, "head")
    short.data = short.data[:-1]
    with pytest.raises(UnreadableMessageError, match="holds 71 bytes, too few"):
        image_from_message(short)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_foresight_comes_back_as_it_was(dtype):
    tokens = np.random.default_rng(0).normal(size=(4, 3)).astype(dtype)
    sent = Foresight(tokens, (4, 3), dtype, 7_000_000_001, 3, "task", "model")
    message = foresight_to_message(sent, 7_100_000_000, "head", 0.8)
    got = foresight_from_message(message)
    np.testing.assert_array_equal(got.tokens, tokens)
    assert (got.shape, got.dtype, got.stamp_ns, got.seq, got.instruction_id, got.model_id) == (
        (4, 3),
        dtype,
        7_000_000_001,
        3,
        "task",
        "model",
    )
    assert to_ns(message.publish_stamp) == 7_100_000_000


def test_bytes_that_do_not_fill_the_shape_stay_flat_for_the_gate_to_refuse():
    message = foresight_to_message(Foresight(np.zeros((4, 3), np.float32), (4, 3), "float32", 1, 1, "", ""), 1, "", 0.8)
    message.data = message.data[:-3]
    assert foresight_from_message(message).tokens.shape == (11,)
    message.dtype = "complex64"
    assert foresight_from_message(message).tokens.size == 0


def test_joints_are_read_by_name_and_extra_ones_ignored():
    order = JointOrder(("a", "b"))
    assert order.positions(JointState(name=["x", "b", "a"], position=[9.0, 2.0, 1.0])).tolist() == [1.0, 2.0]
    assert order.positions(JointState(name=["a", "b"], position=[3.0, 4.0])).tolist() == [3.0, 4.0]


def test_a_missing_joint_is_named_and_values_must_be_finite_and_there():
    order = JointOrder(("a", "b"))
    with pytest.raises(UnreadableMessageError, match="lacks b; it has a, c"):
        order.positions(JointState(name=["a", "c"], position=[1.0, 2.0]))
    with pytest.raises(UnreadableMessageError, match="not finite: b"):
        order.positions(JointState(name=["a", "b"], position=[1.0, float("nan")]))
    with pytest.raises(UnreadableMessageError, match="names 2 joints but has 1 positions"):
        order.positions(JointState(name=["a", "b"], position=[1.0]))
