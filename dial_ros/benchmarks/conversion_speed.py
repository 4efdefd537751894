"""Measures how many times faster than real time `dial convert bag` is, on one core, for one VGA camera at 30 Hz and joints at 100 Hz.

python -m dial_ros.benchmarks.conversion_speed --seconds 60             # the claim: at least 5
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from dial_core.bags.synthetic import IMAGE, image_bytes, record
from dial_core.config import config_path

HEIGHT, WIDTH = 480, 640
NOISE = 2.0  # standard deviation of a sensor's noise, of 255


def scene(images: int = 16) -> list[np.ndarray]:
    """Returns images (H, W, 3) uint8 with edges, shading, a moving square and sensor noise: neither easy nor hopeless to code."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = np.stack([80 + right / 8, 90 + down / 6, 120 + 40 * ((right // 40 + down // 40) % 2)], -1)
    made = []
    for step in range(images):
        pixels = base.copy()
        pixels[200:280, 100 + 12 * step : 180 + 12 * step] = (200, 40, 40)
        made.append(np.clip(pixels + rng.normal(0, NOISE, pixels.shape), 0, 255).astype(np.uint8))
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns 0 if the conversion is at least five times as fast as the recording."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the recording")
    chosen = parser.parse_args(words)
    images = scene()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        robot = yaml.safe_load(config_path("embodiments", "gr1").read_text())
        robot["cameras"][0] |= {"height": HEIGHT, "width": WIDTH}
        (folder / "gr1_vga.yaml").write_text(yaml.safe_dump(robot))

        def vga(topic: str, at_ns: int, data: bytes) -> bytes:
            return image_bytes(at_ns + 10**9, images[at_ns // 33_000_000 % len(images)]) if topic == IMAGE else data

        record(folder / "bag", seconds=chosen.seconds, frame_ms=33, change=vga)
        line = [sys.executable, "-m", "dial_core.cli", "convert", "bag", str(folder / "bag"), str(folder / "dataset")]
        # The elbow of the synthetic robot stands still at the end: keep it, or there would be less to convert.
        line += ["--embodiment", str(folder / "gr1_vga.yaml"), "--workers", "0", "--tail-s", str(chosen.seconds)]
        began_s = time.monotonic()
        subprocess.run(line, check=True)
        wall_s = time.monotonic() - began_s
    factor = chosen.seconds / wall_s
    print(f"{chosen.seconds:.0f} s of {WIDTH}x{HEIGHT} at 30 Hz in {wall_s:.1f} s with the start of the program: {factor:.1f} x real time")
    print(json.dumps({"seconds": chosen.seconds, "wall_s": round(wall_s, 2), "times_real_time": round(factor, 2)}))
    return 0 if factor >= 5 else 1


if __name__ == "__main__":
    sys.exit(main())
