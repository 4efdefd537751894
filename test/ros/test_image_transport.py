"""The benchmark of raw images between two processes, at toy size.

pytest test/ros/test_image_transport.py
"""

from argparse import Namespace

import pytest

from dial_core.errors import DialError
from dial_ros.benchmarks.image_transport import measure

pytestmark = pytest.mark.ros
TOY = Namespace(frames=8, rate=50.0, height=48, width=64)


def test_small_images_arrive_whatever_the_profiles():
    assert [measure(receiver, sender, "reliable", TOY) for receiver, sender in (("fastdds.xml", "none"), ("none", "fastdds.xml"))] == [8, 8]


def test_a_process_that_fails_ends_the_benchmark(capfd):
    with pytest.raises(DialError, match=r"sender ended with status 2"):
        measure("none", "none", "reliable", Namespace(**vars(TOY) | {"rate": "fast"}))
    assert "invalid float value: 'fast'" in capfd.readouterr().err
