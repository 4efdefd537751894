"""Images that cannot be used, wherever in a bag they are: they cost their moments, not the bag.

pytest test/unit/importers/test_bag_images.py
"""

import pytest

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import IMAGE, MS, ROBOT, record
from dial_core.importers.bag.conversion import BagConversion, convert_bag
from dial_core.importers.bag.film import require_images, unusable_images
from dial_core.importers.bag.resampling import Resampling
from dial_core.importers.engine import ImportJob


def cut_between(begin_ms: float, end_ms: float):
    """A `change` of `record`: images of this time, `end_ms` excluded, lack their last bytes."""
    return lambda topic, at_ns, data: data[:-500] if topic == IMAGE and begin_ms * MS <= at_ns < end_ms * MS else data


def convert(tmp_path, folder, **resampling):
    (tmp_path / "work").mkdir()
    settings = BagConversion(resampling=Resampling(**resampling))
    return convert_bag(ImportJob("bag", str(folder), 0, str(tmp_path / "work"), "bag", settings))


@pytest.mark.parametrize("begin_s", [0.2, 0.25, 0.8], ids=lambda begin_s: f"{begin_s} s")
def test_a_camera_that_begins_with_unusable_images_costs_its_begin(tmp_path, begin_s):
    """Four, five and sixteen images at 20 Hz, as of a camera whose exposure or connection settles."""
    job = convert(tmp_path, record(tmp_path / "bag", change=cut_between(0, 1000 * begin_s)))
    assert len(job.episodes) == 1
    assert job.rejected[0].startswith(f"{round(begin_s * 20)} messages of {IMAGE}: a message is no sensor_msgs/msg/Image")


def test_unusable_images_of_a_camera_faster_than_the_control_rate_cost_their_moment(tmp_path):
    """At 100 Hz a step has five images to choose from, and all of those that surround a bad one may be bad."""
    folder = record(tmp_path / "bag", seconds=3.0, frame_ms=10, change=cut_between(1000, 1100))
    job = convert(tmp_path, folder)
    assert len(job.episodes) == 1, "0.1 s is no gap"
    assert job.rejected[0].startswith(f"10 messages of {IMAGE}: a message is no sensor_msgs/msg/Image")


def test_a_long_stretch_of_unusable_images_of_a_fast_camera_is_a_gap(tmp_path):
    folder = record(tmp_path / "bag", seconds=3.0, frame_ms=10, change=cut_between(1000, 1400))
    assert len(convert(tmp_path, folder, min_length_s=0.5).episodes) == 2


def test_a_camera_without_one_usable_image_is_refused_before_the_conversion(tmp_path):
    bag = Bag(record(tmp_path / "bag", seconds=1.0, change=cut_between(0, 1000)))
    with pytest.raises(BagError, match=f"topic {IMAGE}: a message is no sensor_msgs/msg/Image"):
        require_images(bag, [IMAGE], ROBOT.cameras[:1])


def test_images_that_cannot_be_used_are_numbered_with_the_reason(tmp_path):
    bag = Bag(record(tmp_path / "bag", seconds=1.0, change=cut_between(500, 600)))
    found = unusable_images(bag, IMAGE, ROBOT.cameras[0])
    assert list(found) == [10, 11]
    assert found[10].startswith("a message is no sensor_msgs/msg/Image")
