"""A camera that is warmed up has imported what its first frame needs, however it is sent. pytest test/unit/dial_ros/node/test_cameras.py"""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

PROGRAM = """
import array, sys
from sensor_msgs.msg import CompressedImage, Image
from dial_core.observation.camera_view import CameraView
from dial_core.robot.embodiment import Camera
from dial_ros.node.cameras import CameraInput, Frame

class Node:
    def create_subscription(self, *_): pass

data = array.array("B", sys.stdin.buffer.read())
raw = Image(height=48, width=64, encoding="rgb8", step=3 * 64, data=data)
message = raw if sys.argv[1] == "raw" else CompressedImage(format=sys.argv[2], data=data)
camera = Camera(name="ego", topic="image/ego", frame="ego", height=48, width=64)
source = CameraInput(Node(), CameraView(name="ego", height=32, width=32), camera, sys.argv[1], None, None)
source.warm_up()
before = set(sys.modules)
assert source.pixels(Frame(message, 0, 0)).shape == (32, 32, 3)
print(len(before), *sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(("transport", "form"), [("raw", ""), ("compressed", "jpeg"), ("compressed", "png")])
def test_the_first_frame_after_the_warm_up_imports_nothing(transport, form):
    pixels, encoded = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), io.BytesIO()
    if form:
        Image.fromarray(pixels).save(encoded, form)
    command = [sys.executable, "-c", PROGRAM, transport, form]
    ended = subprocess.run(command, input=encoded.getvalue() or pixels.tobytes(), capture_output=True, timeout=100)
    assert ended.returncode == 0, ended.stderr.decode()
    assert len(ended.stdout.split()) == 1, ended.stdout.decode()
