"""Which instruction a bag's motion gets: the topic's at that time, whatever else the recorder noted and whenever a clock was set.

pytest test/unit/importers/test_bag_instructions.py
"""

import pytest

from dial_core.bags.synthetic import MS
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import BagConversion, convert_bags
from dial_core.importers.bag.resampling import Resampling

from .recordings import START_NS, STRING, camera_and_joints, text, write
from .test_bag_clocks import YEARS_NS, stamped_later

PICK, PUT = "pick up the can", "put it down"


def instructions(tmp_path, messages, noted="", **settings):
    """The instruction of each episode of a bag."""
    folder = write(tmp_path / "bag", messages, instruction=noted)
    convert_bags([folder], tmp_path / "out", BagConversion(**settings), workers=0)
    return [span.instruction for span in LeRobotDataset(tmp_path / "out").episodes]


def with_clock_set(messages, at_s=1.0):
    """The messages of a computer whose clock NTP sets while it records; the robot moves from 0 s to 2 s."""
    set_ns = START_NS + round(at_s * 1000) * MS
    return [
        (topic, kind, log_ns + YEARS_NS, data if kind == STRING else stamped_later(data, YEARS_NS))
        if log_ns > set_ns
        else (topic, kind, log_ns, data)
        for topic, kind, log_ns, data in messages
    ]


def test_motion_of_a_second_instruction_is_not_labelled_with_the_noted_one_where_the_first_part_was_too_short(tmp_path):
    words = [text("/instruction", 0.0, PICK), text("/instruction", 0.4, PUT)]
    assert instructions(tmp_path, camera_and_joints() + words, noted=PICK) == [PUT]


def test_what_the_recorder_noted_stands_where_the_topic_said_one_thing(tmp_path):
    words = [text("/instruction", 0.0, "can"), text("/instruction", 0.4, "can"), text("/instruction", 4.9, "")]
    assert instructions(tmp_path, camera_and_joints() + words, noted=PICK) == [PICK]


@pytest.mark.parametrize("noted", ["", "another wording"])
def test_an_instruction_holds_on_when_the_clock_is_set(tmp_path, noted):
    messages = with_clock_set([*camera_and_joints(), text("/instruction", 0.0, PICK)])
    assert instructions(tmp_path, messages, noted, resampling=Resampling(min_length_s=0.5)) == [noted or PICK] * 2


def test_an_instruction_that_changes_after_the_clock_was_set_cuts_there(tmp_path):
    words = [text("/instruction", 0.0, PICK), text("/instruction", 1.5, PUT)]
    messages = with_clock_set(camera_and_joints() + words, at_s=0.7)
    assert instructions(tmp_path, messages, resampling=Resampling(min_length_s=0.3)) == [PICK, PICK, PUT]


def test_a_cleared_instruction_stays_cleared_when_the_clock_is_set(tmp_path):
    words = [text("/instruction", 0.0, PICK), text("/instruction", 0.8, "")]
    messages = with_clock_set(camera_and_joints() + words)
    settings = {"resampling": Resampling(min_length_s=0.5), "instruction": PUT}
    assert instructions(tmp_path, messages, **settings) == [PICK]


def test_motion_before_the_first_instruction_gets_that_one_even_where_the_clock_was_set_between(tmp_path):
    messages = with_clock_set([*camera_and_joints(), text("/instruction", 1.4, PICK)])
    assert instructions(tmp_path, messages, resampling=Resampling(min_length_s=0.5)) == [PICK] * 2


def test_the_topic_of_instructions_is_not_offered_as_unmapped(tmp_path):
    words = [text("/instruction", 0.0, ""), text("/voice", 0.0, PICK)]
    with pytest.raises(DialError, match=r"it carries no instruction; .*with --mapping: /voice$"):
        instructions(tmp_path, camera_and_joints() + words)
