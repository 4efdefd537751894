"""Every colour encoding gives the same colours; depth and video streams are refused by name."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dial_core.observation.encodings import ENCODINGS
from dial_core.observation.readings import UnreadableMessageError, image_from_message, require_readable_image

COLOUR = (200, 60, 20)
PATTERN = ("rggb", "bggr", "gbrg", "grbg")


def gradient(height=32, width=48):
    pixels = np.full((height, width, 3), COLOUR, np.uint8)
    pixels[height // 4 : height // 2] = (20, 220, 240)
    return pixels


def mosaic(pixels, pattern):
    out = np.empty(pixels.shape[:2], np.uint8)
    for k, channel in enumerate(pattern):
        out[k // 2 :: 2, k % 2 :: 2] = pixels[k // 2 :: 2, k % 2 :: 2, "rgb".index(channel)]
    return out


def memory(encoding, pixels):
    """Rows of memory of an encoding, without padding."""
    height, width = pixels.shape[:2]
    bits16 = encoding.endswith("16")
    name = encoding.removesuffix("16").removesuffix("8")
    if name.startswith("bayer_"):
        values = mosaic(pixels, name[-4:])
    elif name == "mono":
        values = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    elif name in ("rgb", "bgr", "rgba", "bgra"):
        values = pixels[..., ::-1] if name.startswith("bgr") else pixels
        values = np.dstack([values, np.full((height, width), 255, np.uint8)]) if name.endswith("a") else values
    else:
        planes = cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420)
        y, u, v = planes[:height], *planes[height:].reshape(2, height // 2, width // 2)
        if encoding.startswith("nv"):
            chroma = np.stack([v, u] if encoding == "nv21" else [u, v], -1)
            if encoding == "nv24":
                chroma = chroma.repeat(2, 0).repeat(2, 1)
                return np.concatenate([y, chroma.reshape(2 * height, width)])
            return np.concatenate([y, chroma.reshape(height // 2, width)])
        values = np.empty((height, width, 2), np.uint8)
        luma = 1 if encoding in ("yuv422", "uyvy") else 0
        values[..., luma] = y
        values[:, 0::2, 1 - luma], values[:, 1::2, 1 - luma] = u.repeat(2, 0), v.repeat(2, 0)
    values = values.astype("<u2") * 257 if bits16 else values
    return np.ascontiguousarray(values).view(np.uint8).reshape(height, -1)


def message(encoding, rows, height, width):
    return SimpleNamespace(height=height, width=width, encoding=encoding, step=rows.shape[1], is_bigendian=0, data=rows.tobytes())


@pytest.mark.parametrize("padding", [0, 16])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_the_colours_of_the_image(encoding, padding):
    pixels = gradient()
    rows = np.pad(memory(encoding, pixels), ((0, 0), (0, padding)), constant_values=99)
    seen = image_from_message(message(encoding, rows, *pixels.shape[:2]), (32, 48))
    right = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2) if encoding.startswith("mono") else pixels
    assert np.abs(seen[20:30, 4:44].astype(int) - right[20:30, 4:44]).max() <= 12
    assert np.abs(seen[10:14, 4:44].astype(int) - right[10:14, 4:44]).max() <= 12


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "nv24", "yuyv", "uyvy"])
def test_odd_sides_are_refused_where_pixels_share_colours(encoding):
    rows = np.zeros((int(33 * ENCODINGS[encoding].rows), 200), np.uint8)
    with pytest.raises(UnreadableMessageError, match="even sides"):
        image_from_message(message(encoding, rows, 33, 47))


def test_too_few_rows_of_colours_are_refused():
    with pytest.raises(UnreadableMessageError, match="too few"):
        image_from_message(message("nv12", np.zeros((32, 48), np.uint8), 32, 48))


def test_an_encoding_in_capitals_is_the_same():
    pixels = gradient()
    np.testing.assert_array_equal(image_from_message(message("RGB8", memory("rgb8", pixels), *pixels.shape[:2])), pixels)


def test_channels_without_names_are_refused():
    with pytest.raises(UnreadableMessageError, match="'8UC3' does not say which colours it has; use one of: rgb8"):
        require_readable_image(message("8UC3", memory("rgb8", gradient()), *gradient().shape[:2]))


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_is_refused_as_depth(encoding):
    with pytest.raises(UnreadableMessageError, match=f"'{encoding}' is that of a depth image"):
        require_readable_image(message(encoding, np.zeros((32, 192), np.uint8), 32, 48))


def compressed(form, pixels, ending=".png"):
    return SimpleNamespace(format=form, data=cv2.imencode(ending, pixels)[1].tobytes())


@pytest.mark.parametrize("form", ["rgb8; png compressed bgr8", "bgr8; png compressed bgr8", "png", "", "bgra8; png compressed bgr8"])
def test_a_compressed_image_has_its_colours(form):
    np.testing.assert_array_equal(image_from_message(compressed(form, gradient()[..., ::-1])), gradient())


def test_a_compressed_image_that_says_rgb_is_rgb():
    np.testing.assert_array_equal(image_from_message(compressed("rgb8; png compressed rgb8", gradient())), gradient())


@pytest.mark.parametrize("pattern", PATTERN)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_compressed_mosaic_is_taken_apart_by_its_pattern(pattern, bits):
    raw = mosaic(gradient(), pattern)
    raw = raw.astype(np.uint16) * 257 if bits == 16 else raw
    seen = image_from_message(compressed(f"bayer_{pattern}{bits}; png compressed ", raw))
    assert np.abs(seen[20:30, 4:44].astype(int) - COLOUR).max() <= 12


DEPTH = np.linspace(400, 1500, 32 * 48).reshape(32, 48).astype(np.uint16)


@pytest.mark.parametrize("form", ["16UC1; png compressed ", "16UC1; compressedDepth", "32FC1; compressedDepth png", "png"])
def test_compressed_depth_is_refused_by_its_format_or_by_what_is_in_it(form):
    with pytest.raises(UnreadableMessageError, match="is a depth image"):
        image_from_message(compressed(form, DEPTH))


@pytest.mark.parametrize("form", ["h264", "hevc", "rgb8; h264 compressed"])
def test_video_streams_are_refused(form):
    with pytest.raises(UnreadableMessageError, match="part of a video stream"):
        image_from_message(SimpleNamespace(format=form, data=b"\0\0\0\1g" + bytes(60)))


def test_sixteen_bits_of_grey_that_say_so_are_a_grey_image():
    seen = image_from_message(compressed("mono16; png compressed ", np.full((8, 8), 257 * 90, np.uint16)))
    assert np.abs(seen.astype(int) - 90).max() <= 1
