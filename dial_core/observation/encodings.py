"""Image encodings to RGB: those of sensor_msgs/image_encodings.hpp that have colours or a grey.

The conversions are OpenCV's own, as in cv_bridge, so that nothing depends on which cv_bridge is installed; 16 bits are
scaled down to 8.
"""

from typing import NamedTuple

import numpy as np


class Encoding(NamedTuple):
    """Memory layout of a pixel, and OpenCV's name of the conversion to RGB; empty if it is RGB already."""

    channels: int
    element: str  # numpy dtype
    conversion: str
    rows: float = 1.0  # rows of memory a row of pixels: more than one where colours follow in a plane of their own

    def smallest_step(self, width: int) -> int:
        """Returns the fewest bytes that a row of `width` pixels takes."""
        return width * self.channels * np.dtype(self.element).itemsize


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
    "nv12": Encoding(1, "u1", "YUV2RGB_NV12", 1.5),
    "nv21": Encoding(1, "u1", "YUV2RGB_NV21", 1.5),
    "nv24": Encoding(1, "u1", "YUV2RGB_NV12", 3.0),  # colours at full resolution
}
DEPTHS = ("8uc1", "16uc1", "16sc1", "32fc1", "64fc1")  # without colours: distances, or whatever their driver says
VIDEOS = ("h264", "h265", "hevc", "av1", "vp8", "vp9", "theora", "ffmpeg")


def to_rgb(rows: np.ndarray, width: int, encoding: Encoding, big_endian: bool) -> np.ndarray:
    """Rows (H * encoding.rows, step) uint8 of a message, padding included -> pixels (H, W, 3) uint8; of RGB and BGR with 8 bits a view.

    Raises:
        ValueError: the encoding shares colours between pixels and the image has an odd side.
    """
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

    height = round(len(rows) / encoding.rows)
    if encoding.conversion.startswith("YUV") and (width % 2 or (encoding.rows > 1 and height % 2)):
        raise ValueError(f"{height}x{width} pixels cannot be {encoding.conversion.split('_')[-1]}, which has even sides")
    if encoding.rows == 3.0:  # every second colour of every second row: as many as NV12 has
        colours = values[height:].reshape(height, width, 2)[::2, ::2].reshape(height // 2, width, 1)
        values = np.concatenate([values[:height], colours])
    return cv2.cvtColor(values, getattr(cv2, f"COLOR_{encoding.conversion}"))
