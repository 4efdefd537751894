"""Messages <-> numpy."""

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, JointState

from dial_core.control.foresight_gate import Foresight, ForesightContract, Refusal
from dial_core.control.motion import to_ns
from dial_core.observation.readings import JointOrder, UnreadableMessageError, foresight_from_message, image_from_message
from dial_ros.msg import LatentForesight
from dial_ros.node.messages import foresight_to_message, image_to_message, to_time

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


def coded(encoding: str, values: np.ndarray, big_endian: bool = False) -> Image:
    """A message with three bytes of padding a row."""
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    padded = np.concatenate([rows, np.full((len(rows), 3), 99, np.uint8)], axis=1)
    message = Image(height=len(values), width=values.shape[1], encoding=encoding, step=padded.shape[1], is_bigendian=int(big_endian))
    message.data = array.array("B", padded.tobytes())
    return message


GREY = np.full((4, 6, 1), 77, np.uint8)
OPAQUE = np.full((4, 6, 1), 255, np.uint8)


@pytest.mark.parametrize(
    ("encoding", "values", "pixels"),
    [
        ("rgba8", np.concatenate([PIXELS, OPAQUE], -1), PIXELS),
        ("bgra8", np.concatenate([PIXELS[..., ::-1], OPAQUE], -1), PIXELS),
        ("rgb16", PIXELS.astype("<u2") * 257, PIXELS),
        ("bgr16", PIXELS[..., ::-1].astype("<u2") * 257, PIXELS),
        ("mono8", GREY, np.repeat(GREY, 3, -1)),
        ("mono16", GREY.astype("<u2") * 257, np.repeat(GREY, 3, -1)),
    ],
)
def test_encodings_with_colours_or_grey_are_read_whatever_the_padding(encoding, values, pixels):
    np.testing.assert_array_equal(image_from_message(coded(encoding, values)), pixels)


def test_big_endian_pixels_are_read():
    np.testing.assert_array_equal(image_from_message(coded("rgb16", PIXELS.astype(">u2") * 257, big_endian=True)), PIXELS)


@pytest.mark.parametrize(("pattern", "red_at"), [("rggb", (0, 0)), ("bggr", (1, 1)), ("gbrg", (1, 0)), ("grbg", (0, 1))])
def test_a_bayer_pattern_is_named_after_its_first_row(pattern, red_at):
    mosaic = np.zeros((8, 8, 1), np.uint8)
    mosaic[red_at[0] :: 2, red_at[1] :: 2] = 200
    np.testing.assert_array_equal(image_from_message(coded(f"bayer_{pattern}8", mosaic))[4, 4], [200, 0, 0])


@pytest.mark.parametrize(("encoding", "luma_at"), [("yuv422", 1), ("yuv422_yuy2", 0)])
def test_yuv_pixels_are_read(encoding, luma_at):
    values = np.full((4, 6, 2), 128, np.uint8)
    values[..., luma_at] = 235
    assert image_from_message(coded(encoding, values)).min() > 250, "white"


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IDAT"
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, end)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("size", "words"), [((4, 6), "image is 12000x12000"), (None, "at most 8192 pixels a side")])
def test_a_compressed_image_of_another_size_is_refused_by_its_header_before_it_is_decoded(size, words, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    message = CompressedImage(format="png", data=array.array("B", png_header(12000, 12000)))
    with pytest.raises(UnreadableMessageError, match=words):
        image_from_message(message, size)


def test_a_compressed_image_longer_than_its_pixels_can_need_is_refused():
    encoded = cv2.imencode(".png", PIXELS)[1].tobytes() + bytes(100_000)
    with pytest.raises(UnreadableMessageError, match="at most 65704 are decoded for 4x6"):
        image_from_message(CompressedImage(format="png", data=array.array("B", encoded)), (4, 6))


def test_a_compressed_image_is_read_and_a_corrupted_one_is_refused():
    good = CompressedImage(format="png", data=array.array("B", cv2.imencode(".png", PIXELS[..., ::-1])[1].tobytes()))
    np.testing.assert_array_equal(image_from_message(good, (4, 6)), PIXELS)
    with pytest.raises(UnreadableMessageError, match="4x6, the embodiment says that the camera gives 8x8"):
        image_from_message(good, (8, 8))
    with pytest.raises(UnreadableMessageError, match="jpeg or png"):
        image_from_message(CompressedImage(format="jpeg", data=array.array("B", b"rubbish")))
    with pytest.raises(UnreadableMessageError, match="empty"):
        image_from_message(CompressedImage(format="jpeg"))


def test_another_encoding_size_or_too_few_bytes_is_refused_with_the_reason():
    depth = image_to_message(PIXELS, 5, "head")
    depth.encoding = "32FC1"
    with pytest.raises(UnreadableMessageError, match="'32FC1' is that of a depth image; use one of: rgb8, "):
        image_from_message(depth)
    with pytest.raises(UnreadableMessageError, match="image is 4x6, the embodiment says that the camera gives 96x96"):
        image_from_message(image_to_message(PIXELS, 5, "head"), (96, 96))
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


@pytest.mark.parametrize("shape", [[1] * 65, [2**31, 2**31, 4], [0], [], [1] * 100_000])
def test_a_foresight_of_any_shape_is_refused_by_name_and_briefly(shape):
    """numpy arrays have 64 dimensions at most, and count elements in 64 bits."""
    message = LatentForesight(shape=array.array("I", shape), dtype="float32", data=array.array("B", bytes(4)), model_id="m")
    reason, why = ForesightContract("m", (36, 192), 0.8).refusal(foresight_from_message(message), "", 0)
    assert reason is Refusal.SHAPE
    assert len(why) < 200
