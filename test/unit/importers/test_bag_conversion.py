"""Bags become episodes: resampled, cut, labelled; what is wrong with one is reported by its name, and the others are converted."""

import json
from functools import partial

import numpy as np
import pytest

from dial_core.bags.reader import Bag
from dial_core.bags.synthetic import COMMANDS, ELBOW, IMAGE, JOINTS, KINDS, MS, ROBOT, dated_image, elbow, image_bytes, joint_bytes, record
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import BagConversion, convert_bag, convert_bags
from dial_core.importers.bag.resampling import Resampling, moving_span, resample
from dial_core.importers.bag.timeline import read_timeline
from dial_core.importers.bag.topic_streams import find_streams
from dial_core.importers.engine import ImportJob
from dial_core.robot.kinematics import ForwardKinematics

from .test_engine import interrupted_before_packing


def resampled(folder, **settings):
    bag = Bag(folder)
    streams = find_streams(bag, ROBOT, ROBOT.cameras)
    return resample(read_timeline(bag, streams, ROBOT), ROBOT, Resampling(**settings))


def test_actions_are_where_the_controllers_wanted_the_joints_one_step_later(tmp_path):
    piece = resampled(record(tmp_path / "bag"), lead_s=9, tail_s=9).pieces[0]
    times_s = 1.0 + np.arange(len(piece)) * 0.05
    wanted = [elbow(t + 0.05) for t in times_s]
    np.testing.assert_allclose(piece.targets[:, ELBOW], wanted, atol=2e-3)
    np.testing.assert_allclose(piece.joints[:, ELBOW], [elbow(t - 0.04) for t in times_s], atol=1e-9)


def test_actions_can_be_the_next_states(tmp_path):
    piece = resampled(record(tmp_path / "bag"), actions="next").pieces[0]
    np.testing.assert_array_equal(piece.targets[:-1], piece.joints[1:])


def test_a_controller_that_was_never_commanded_takes_the_next_states(tmp_path):
    found = resampled(record(tmp_path / "bag", topics=(IMAGE, JOINTS)))
    assert found.uncommanded == [c.name for c in ROBOT.controllers]
    np.testing.assert_array_equal(found.pieces[0].targets[:-1], found.pieces[0].joints[1:])


SPANS = {"a joint": (np.array([3.0, 3.0]), 0), "a finger that slides": (np.array([3.0, 0.04]), 60)}


@pytest.mark.parametrize("second", SPANS)
def test_a_slow_finger_that_slides_over_centimetres_is_no_idle_end(second):
    """An arm moves for 5 s; then a finger closes by 4 cm in 3 s, slower than a joint that stands still. 2 s of rest follow."""
    arm, finger = np.linspace(0.0, 1.0, 100), np.linspace(0.04, 0.0, 60)
    targets = np.stack([np.concatenate([arm, np.ones(100)]), np.concatenate([np.full(100, 0.04), finger, np.zeros(40)])], 1)
    ranges, moving = SPANS[second]
    assert moving_span(targets, 20.0, Resampling(), ranges) == (0, 100 + moving + 16)


def test_idle_ends_are_cut_but_for_a_lead_and_a_tail(tmp_path):
    found = resampled(record(tmp_path / "bag", seconds=6), lead_s=0.2, tail_s=0.8)
    # It moves from 1 s to 3 s; recording began at 1 s and ends at 7 s.
    assert len(found.pieces[0]) == pytest.approx((2.0 + 0.8) * 20, abs=3)
    assert found.idle_s[1] > 2.5


def test_a_30_hz_camera_gives_each_step_its_newest_frame(tmp_path):
    folder = record(tmp_path / "bag", frame_ms=33)
    piece = resampled(folder, lead_s=9, tail_s=9).pieces[0]
    stamps_ms = 33 * np.array([frames[0] for frames in piece.frames])
    late_ms = 50 * np.arange(len(piece)) - stamps_ms
    assert late_ms.min() >= -10
    assert late_ms.max() < 33


def hole(topic, at_ns):
    return topic == IMAGE and 1500 * MS < at_ns < 1900 * MS


def test_a_gap_cuts_the_episode_in_two_or_is_kept_and_reported(tmp_path):
    folder = record(tmp_path / "bag", drop=hole)
    cut, kept = resampled(folder, min_length_s=0.3), resampled(folder, gaps="keep")
    assert [len(cut.pieces), len(kept.pieces)] == [2, 1]
    assert len(kept.gaps) == 1
    assert kept.gaps[0][1] == pytest.approx(0.25, abs=0.051)


def test_a_dataset_holds_frames_vectors_instruction_and_the_operators_note(tmp_path):
    record(tmp_path / "bags" / "one", note="slowly")
    record(tmp_path / "bags" / "two", instruction="put the cup on the plate")
    reports = convert_bags([tmp_path / "bags"], tmp_path / "out", BagConversion(), workers=0).jobs
    assert [report.name for report in reports] == ["one", "two"]
    dataset = LeRobotDataset(tmp_path / "out")
    first = dataset.episodes[0]
    assert [span.instruction for span in dataset.episodes] == ["put the can on the plate", "put the cup on the plate"]
    assert first.facts["note"] == "slowly"
    frames = dataset.frames(first)
    assert np.abs(frames[0].astype(int) - dated_image(1000 * MS)).mean() < 3
    assert dataset.states.shape[1] == 47
    joints = dataset.states[0, 18:].astype(np.float64)
    np.testing.assert_allclose(dataset.states[0], ForwardKinematics(ROBOT).state(joints), atol=1e-6)
    page = (tmp_path / "out/report/report.md").read_text()
    assert "2 of 2 bags gave 2 episodes" in page
    assert all((tmp_path / "out/report" / name).stat().st_size > 1000 for name in ("streams.png", "joints.png", "thumbnails.png"))


def corrupt(folder):
    path = next(folder.glob("*.mcap"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(bytes(data))


def test_bags_that_cannot_be_converted_are_named_with_the_reason_and_the_others_are_converted(tmp_path, monkeypatch):
    bags = tmp_path / "bags"
    record(bags / "good")
    corrupt(record(bags / "corrupt"))
    record(bags / "blind", topics=(JOINTS, COMMANDS))
    monkeypatch.setitem(KINDS, IMAGE, "my_robot/msg/Photo")
    monkeypatch.setattr("dial_core.bags.synthetic.STORE.generate_msgdef", lambda *_, **__: ("uint8 x\n", None))
    record(bags / "unknown", topics=(JOINTS, IMAGE), drop=lambda topic, _: topic == IMAGE)
    monkeypatch.undo()
    record(bags / "other_robot", embodiment="r2d2")
    record(bags / "half_robot", change=half)
    record(bags / "failed", outcome="failure")
    record(bags / "still", topics=(IMAGE, JOINTS), change=standing)
    record(bags / "mute", instruction="")
    reports = {report.name: report for report in convert_bags([bags], tmp_path / "out", BagConversion(), workers=0).jobs}
    assert reports["good"].episodes
    assert reports["corrupt"].episodes  # without what cannot be read
    assert "damaged: corrupt_0.mcap: a chunk of" in reports["corrupt"].rejected[0]
    expected = {
        "blind": "no topic /image/ego or /image/ego/compressed; the bag has",
        "unknown": "has type my_robot/msg/Photo, expected sensor_msgs/msg/Image",
        "other_robot": "recorded with embodiment 'r2d2'",
        "half_robot": "joint state lacks l_shoulder_pitch",
        "failed": "the operator called it a failure",
        "still": "nothing moves",
        "mute": "no instruction",
    }
    for name, reason in expected.items():
        assert reason in reports[name].reason, (name, reports[name].reason)
        assert not reports[name].episodes
    page = (tmp_path / "out/report/report.md").read_text()
    assert all(f"**{name}**" in page for name in expected)


def standing(topic, at_ns, data):
    return joint_bytes(1000 * MS + at_ns, still=True) if topic == JOINTS else data


def half(topic, at_ns, data):
    return joint_bytes(1000 * MS + at_ns, ROBOT.joint_names[3:]) if topic == JOINTS else data


def frozen_image(topic, at_ns, data):
    return image_bytes(at_ns + 1000 * MS, dated_image(0)) if topic == IMAGE else data


def test_what_would_hurt_training_is_warned_of(tmp_path):
    frozen = record(tmp_path / "frozen", change=frozen_image)
    (tmp_path / "work").mkdir()
    warnings = convert_bag(ImportJob("frozen", str(frozen), 0, str(tmp_path / "work"), "frozen", BagConversion())).details["warnings"]
    assert any("frozen camera" in warning for warning in warnings), warnings
    slow = record(tmp_path / "slow", frame_ms=100)
    warnings = convert_bag(ImportJob("slow", str(slow), 0, str(tmp_path / "work"), "slow", BagConversion())).details["warnings"]
    assert any("less than the control rate" in warning for warning in warnings), warnings


def test_an_interrupted_conversion_resumes_where_it_stopped(tmp_path, monkeypatch):
    bags = tmp_path / "bags"
    record(bags / "a")
    record(bags / "b")
    converted = []

    def interrupted(job):
        if len(converted) == 1:
            raise KeyboardInterrupt
        converted.append(job.source)
        return convert_bag(job)

    monkeypatch.setattr("dial_core.importers.bag.conversion.convert_bag", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_bags([bags], tmp_path / "out", BagConversion(), workers=0)
    assert not (tmp_path / "out").exists()
    converted = []
    convert_bags([bags], tmp_path / "out", BagConversion(), workers=0)
    assert [path.rsplit("/", 1)[1] for path in converted] == ["b"]
    assert len(LeRobotDataset(tmp_path / "out").episodes) == 2
    assert len(json.loads((tmp_path / "out/report/report.json").read_text())) == 2


def test_a_resumed_conversion_converts_again_what_another_version_has_converted(tmp_path, monkeypatch):
    record(tmp_path / "bags/a")
    converted = []
    monkeypatch.setattr("dial_core.importers.bag.conversion.convert_bag", lambda job: (converted.append(job.name), convert_bag(job))[1])
    call = partial(convert_bags, [tmp_path / "bags"], tmp_path / "out", BagConversion(), workers=0)
    interrupted_before_packing(tmp_path / "out", monkeypatch, call)
    interrupted_before_packing(tmp_path / "out", monkeypatch, call)
    assert converted == ["a"]
    monkeypatch.setattr("dial_core.importers.bag.conversion.digest_of_converter", lambda module: f"another {module}")
    call()
    assert converted == ["a", "a"]


def test_when_not_one_bag_can_be_converted_every_reason_is_reported(tmp_path):
    record(tmp_path / "bags" / "mute", instruction="")
    with pytest.raises(DialError, match="mute: it carries no instruction"):
        convert_bags([tmp_path / "bags"], tmp_path / "out", BagConversion(), workers=0)
