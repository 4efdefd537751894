"""Image encodings to RGB: those of sensor_msgs/image_encodings.hpp that cv_bridge turns into colours.

The conversions are OpenCV's own, as in cv_bridge, so that nothing depends on which cv_bridge is installed; 16 bits are
scaled down to 8.
"""

from typing import NamedTuple

import numpy as np


class Encoding(NamedTuple):
    """How a pixel lies in memory, and OpenCV's name of the conversion to RGB; empty: it is RGB already."""

    channels: int
    element: str  # numpy dtype
    conversion: str


# OpenCV names a Bayer pattern after its second row, ROS after its first.
_BAYER = {"rggb": "BayerBG2RGB", "bggr": "BayerRG2RGB", "gbrg": "BayerGR2RGB", "grbg": "BayerGB2RGB"}
_COLOURS = {"rgb": (3, ""), "bgr": (3, "BGR2RGB"), "rgba": (4, "RGBA2RGB"), "bgra": (4, "BGRA2RGB"), "mono": (1, "GRAY2RGB")}
ENCODINGS: dict[str, Encoding] = {
    **{f"{name}{bits}": Encoding(n, f"u{bits // 8}", how) for name, (n, how) in _COLOURS.items() for bits in (8, 16)},
    **{f"bayer_{name}{bits}": Encoding(1, f"u{bits // 8}", how) for name, how in _BAYER.items() for bits in (8, 16)},
    "yuv422": Encoding(2, "u1", "YUV2RGB_UYVY"),
    "uyvy": Encoding(2, "u1", "YUV2RGB_UYVY"),
    "yuv422_yuy2": Encoding(2, "u1", "YUV2RGB_YUY2"),
    "yuyv": Encoding(2, "u1", "YUV2RGB_YUY2"),
}


def to_rgb(rows: np.ndarray, width: int, encoding: Encoding, big_endian: bool) -> np.ndarray:
    """Rows (H, step) uint8 of a message, padding included -> pixels (H, W, 3) uint8; of RGB and BGR with 8 bits a view."""
    element = np.dtype(encoding.element).newbyteorder(">" if big_endian else "<")
    used = rows[:, : width * encoding.channels * element.itemsize]
    if encoding.element == "u1" and encoding.conversion in ("", "BGR2RGB"):
        pixels = used.reshape(len(rows), width, 3)
        return pixels[:, :, ::-1] if encoding.conversion else pixels
    values = np.ascontiguousarray(used).view(element).reshape(len(rows), width, encoding.channels)
    if element.itemsize == 2:
        values = (values // 257).astype(np.uint8)  # 65535 -> 255
    if not encoding.conversion:
        return values
    import cv2  # only where OpenCV has something to do

    return cv2.cvtColor(values, getattr(cv2, f"COLOR_{encoding.conversion}"))
