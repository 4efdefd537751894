import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.video import encode
from dial_core.errors import DialError
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, camera_of, convert_lerobot
from dial_core.importers.source_mapping import PartRule, SourceMapping, VectorReader, load_mapping
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics

from .source_files import vector_of, write_gr00t_episode, write_gr00t_set

ROBOCASA = LeRobotConversion("robocasa_gr1")
# Our joints in order, as places in GR00T's 44 numbers: left arm, right arm, left hand, right hand, waist.
PLACES = [*range(0, 7), *range(22, 29), *range(7, 13), *range(29, 35), *range(41, 44)]


def in_our_units(joints: np.ndarray) -> np.ndarray:
    """Fingers and thumb pitch as the sum of two hinges that turn alike: the numbers of the test stay below every hinge's limit."""
    ours = joints.astype(float)
    ours[[14, 15, 16, 17, 18, 20, 21, 22, 23, 24]] *= 2
    return ours


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_a_robocasa_set_becomes_our_vectors_by_its_modality(tmp_path, version):
    write_gr00t_set(tmp_path / "robocasa", version=version)
    report = convert_lerobot([tmp_path / "robocasa"], tmp_path / "out", ROBOCASA, workers=0)
    assert (report.converted, report.left_out) == (2, {})
    dataset = LeRobotDataset(tmp_path / "out")
    assert [span.length for span in dataset.episodes] == [4, 3]
    assert dataset.states.shape == (7, 47)
    # by hand: right wrist pitch of frame 2 is number 28, the waist's last is number 43
    assert dataset.states[2, 18 + 13] == pytest.approx(0.28 + 0.002)
    assert dataset.states[2, 46] == pytest.approx(0.43 + 0.002)
    np.testing.assert_allclose(dataset.states[2, 18:], in_our_units(vector_of(2)[PLACES]), atol=1e-6)
    np.testing.assert_allclose(dataset.actions[2, 18:], in_our_units(vector_of(2)[PLACES] + 0.5), atol=1e-6)
    wrists = ForwardKinematics(load_embodiment()).wrist_poses(vector_of(2)[PLACES])
    np.testing.assert_allclose(dataset.states[2, :18], wrists, atol=1e-6)


def test_words_lose_their_prefix_and_frames_keep_their_order(tmp_path):
    write_gr00t_set(tmp_path / "robocasa")
    convert_lerobot([tmp_path / "robocasa"], tmp_path / "out", ROBOCASA, workers=0)
    dataset = LeRobotDataset(tmp_path / "out")
    assert dataset.instructions == ["pick the cup"]
    frames = dataset.frames(dataset.episodes[1])
    assert frames.shape == (3, 96, 96, 3)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), [0, 10, 20], atol=2)


def test_the_next_state_may_be_the_action(tmp_path):
    write_gr00t_set(tmp_path / "robocasa", lengths=(4,))
    convert_lerobot([tmp_path / "robocasa"], tmp_path / "out", LeRobotConversion("robocasa_gr1", actions="next"), workers=0)
    dataset = LeRobotDataset(tmp_path / "out")
    np.testing.assert_allclose(dataset.actions[:3], dataset.states[1:], atol=1e-6)
    np.testing.assert_allclose(dataset.actions[3], dataset.states[3], atol=1e-6)


def test_another_rate_is_brought_to_the_robots(tmp_path):
    write_gr00t_set(tmp_path / "fast", lengths=(7,), rate_hz=30.0)
    convert_lerobot([tmp_path / "fast"], tmp_path / "out", ROBOCASA, workers=0)
    dataset = LeRobotDataset(tmp_path / "out")
    assert dataset.states[:, 18] == pytest.approx([0.0, 0.0015, 0.003, 0.0045, 0.006])
    np.testing.assert_allclose(dataset.frames(dataset.episodes[0]).mean((1, 2, 3)), [0, 10, 30, 40, 60], atol=2)


@pytest.mark.parametrize("rate_hz", [10.0, 30.0, 50.0])
def test_an_action_of_another_rate_is_where_the_robot_is_to_be_one_control_step_later(fake_dataset, tmp_path, rate_hz):
    dataset = fake_dataset(tmp_path / "dataset", (40,))
    video = dataset.episodes[0].video
    video.write_bytes(encode(dataset.frames(dataset.episodes[0]), rate_hz))
    info, file = json.loads((dataset.folder / "meta/info.json").read_text()), dataset.episodes[0].table
    (dataset.folder / "meta/info.json").write_text(json.dumps(info | {"fps": rate_hz}))
    table, times_s = parquet.read_table(file), np.arange(40) / rate_hz
    table = table.set_column(table.schema.get_field_index("timestamp"), "timestamp", pyarrow.array(times_s.astype(np.float32)))
    for column, later_s in (("observation.state", 0.0), ("action", 1 / rate_hz)):  # one step later, of the recording
        values = np.stack(table[column].to_pylist())
        values[:, 18] = times_s + later_s
        rows = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1).astype(np.float32)), values.shape[1])
        table = table.set_column(table.schema.get_field_index(column), column, rows)
    parquet.write_table(table, file)
    convert_lerobot([dataset.folder], tmp_path / "out", LeRobotConversion(), workers=0)
    converted = LeRobotDataset(tmp_path / "out")
    ahead_s = converted.actions[:, 18] - converted.states[:, 18]
    np.testing.assert_allclose(ahead_s[2:-2], 0.05, atol=1e-4)


def test_rows_that_were_cut_from_the_beginning_keep_their_frames(tmp_path):
    folder = write_gr00t_set(tmp_path / "cut", lengths=(9,))
    file = folder / "data/chunk-000/episode_000000.parquet"
    parquet.write_table(parquet.read_table(file).slice(3), file)
    lines = folder / "meta/episodes.jsonl"
    lines.write_text(json.dumps(json.loads(lines.read_text()) | {"length": 6}))
    convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
    dataset = LeRobotDataset(tmp_path / "out")
    assert dataset.states[0, 18] == pytest.approx(0.003)
    np.testing.assert_allclose(dataset.frames(dataset.episodes[0]).mean((1, 2, 3)), [30, 40, 50, 60, 70, 80], atol=2)


def test_a_dataset_of_version_3_comes_back_as_it_was(fake_dataset, tmp_path):
    ours = fake_dataset(tmp_path / "ours")
    convert_lerobot([ours.folder], tmp_path / "out", LeRobotConversion(), workers=0)
    again = LeRobotDataset(tmp_path / "out")
    np.testing.assert_allclose(again.states[:, 18:], ours.states[:, 18:], atol=1e-6)
    assert [(span.instruction, span.length) for span in again.episodes] == [(span.instruction, span.length) for span in ours.episodes]
    assert again.episodes[1].facts["target"] == ours.episodes[1].facts["target"]
    difference = again.frames(again.episodes[2]).astype(float) - ours.frames(ours.episodes[2])
    assert np.abs(difference).mean() < 2.0


def test_relative_actions_are_added_to_the_state(tmp_path):
    folder = write_gr00t_set(tmp_path / "relative", lengths=(3,))
    file = folder / "meta/modality.json"
    modality = json.loads(file.read_text())
    modality["action"]["waist"]["absolute"] = False
    file.write_text(json.dumps(modality))
    convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
    dataset = LeRobotDataset(tmp_path / "out")
    # state 0.43, action 0.43 + 0.5 as a step: target 1.36
    assert dataset.actions[0, 46] == pytest.approx(1.36)


def test_a_finger_past_its_hinges_limit_is_closed_and_no_more(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa", lengths=(3,))
    states = np.stack([vector_of(frame) for frame in range(3)])
    actions = states.copy()
    actions[:, 7] = [1.0, 1.6, 3.0]  # left pinky: hinges end at 1.57 and 1.74 rad
    write_gr00t_episode(folder, 0, states, actions)
    convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
    assert LeRobotDataset(tmp_path / "out").actions[:, 18 + 14] == pytest.approx([2.0, 1.57 + 1.6, 1.57 + 1.74])


def test_the_first_episodes_of_each_dataset_may_be_chosen(tmp_path):
    folders = [write_gr00t_set(tmp_path / name, lengths=(3, 3, 3)) for name in ("a", "b")]
    settings = LeRobotConversion("robocasa_gr1", first=2)
    assert convert_lerobot(folders, tmp_path / "out", settings, workers=0).episodes == 4
    assert [span.index for span in LeRobotDataset(tmp_path / "out").episodes] == [0, 1, 2, 3]


@pytest.mark.parametrize("place", [7, -1])
def test_an_order_beyond_its_part_is_refused_before_any_work(tmp_path, place):
    folder = write_gr00t_set(tmp_path / "robocasa", lengths=(3,))
    rule = PartRule(part="left_arm", order=(0, 1, 2, 3, 4, 5, place))
    mapping = load_mapping("robocasa_gr1")
    mapping = mapping.model_copy(update={"groups": {**mapping.groups, "left_arm": rule}})
    with pytest.raises(DialError, match=rf"`order` of joint group 'left_arm' .* asks for number {place} of part 'left_arm' .* which has 7"):
        VectorReader(mapping, LeRobotDataset(folder).modality, load_embodiment("gr1"))


def test_broken_episodes_are_named_and_the_others_are_converted(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa", lengths=(3, 3, 3, 3, 3, 3))
    good = np.stack([vector_of(frame) for frame in range(3)])
    wild = good.copy()
    wild[1, 22] = np.nan
    write_gr00t_episode(folder, 1, wild, good)
    write_gr00t_episode(folder, 2, good * 100, good * 100)
    write_gr00t_episode(folder, 3, good[:2], good[:2])
    write_gr00t_episode(folder, 4, good, good, valid=False)
    (folder / "videos/chunk-000/observation.images.ego_view/episode_000005.mp4").unlink()
    report = convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
    assert report.converted == 1
    reasons = {name.removeprefix("robocasa, "): reason for name, reason in report.left_out.items()}
    assert "part 'right_arm' of 'observation.state': 1 values are not finite, first in frame 1, dimension 0" in reasons["episode 1"]
    assert "degrees" in reasons["episode 2"]
    assert "2 rows, its metadata say 3" in reasons["episode 3"]
    assert "not valid" in reasons["episode 4"]
    assert "is missing" in reasons["episode 5"]


def test_a_robot_with_other_joints_is_refused_before_any_work(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa")
    with pytest.raises(DialError, match="parts: left_arm, left_hand"):
        convert_lerobot([folder], tmp_path / "out", LeRobotConversion("robocasa_gr1", embodiment="iron"), workers=0)


def test_a_part_beyond_its_column_is_named(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa")
    file = folder / "meta/modality.json"
    file.write_text(file.read_text().replace('"end": 44', '"end": 45'))
    with pytest.raises(DialError, match=r"part 'waist' is dimensions 41 to 45 of 'observation\.state', which has 44"):
        convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)


def test_an_unknown_version_lists_those_that_are_read(tmp_path):
    folder = write_gr00t_set(tmp_path / "old", version="v1.6")
    with pytest.raises(DialError, match=r"v2\.0, v2\.1, v3\.0"):
        LeRobotDataset(folder)


def test_the_mask_of_a_dataset_is_absent_unless_an_episode_has_one(fake_dataset, tmp_path):
    dataset = fake_dataset(tmp_path / "plain")
    assert dataset.action_mask is None
    assert "action_mask" not in parquet.read_table(dataset.folder / "data").column_names


def test_a_depth_camera_is_passed_over_and_not_taken_for_colours(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa")
    info, modality = (json.loads((folder / f"meta/{name}.json").read_text()) for name in ("info", "modality"))
    key = "observation.images.depth"
    info["features"] = {key: {"dtype": "video", "shape": [16, 16, 3], "info": {"video.is_depth_map": True}}, **info["features"]}
    modality["video"] = {"depth": {"original_key": key}, **modality["video"]}
    (folder / "meta/info.json").write_text(json.dumps(info))
    (folder / "meta/modality.json").write_text(json.dumps(modality))
    source = LeRobotDataset(folder)
    assert camera_of(source, SourceMapping()) == "ego_view"
    with pytest.raises(DialError, match="camera 'depth' holds depth maps; name one with colours in the mapping: ego_view"):
        camera_of(source, SourceMapping(camera="depth"))


@pytest.mark.parametrize(("index", "reason"), [(float("nan"), ""), (0.0, "its instruction is empty; give one with --instruction")])
def test_an_episode_without_words_takes_those_of_its_metadata_or_is_refused(tmp_path, index, reason):
    folder = write_gr00t_set(tmp_path / "robocasa", lengths=(4,), words=" ")
    file = folder / "data/chunk-000/episode_000000.parquet"
    table = parquet.read_table(file)
    place = table.column_names.index("annotation.human.coarse_action")
    parquet.write_table(table.set_column(place, "annotation.human.coarse_action", pyarrow.array([index] * 4)), file)
    lines = (folder / "meta/episodes.jsonl").read_text()
    (folder / "meta/episodes.jsonl").write_text(lines if reason else lines.replace('" "', '"pick the cup"'))
    if reason:
        with pytest.raises(DialError, match=reason):
            convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
    else:
        convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
        assert LeRobotDataset(tmp_path / "out").instructions == ["pick the cup"]


def test_joints_that_the_data_does_not_name_are_listed(tmp_path):
    folder = write_gr00t_set(tmp_path / "plain")
    (folder / "meta/modality.json").unlink()
    info = json.loads((folder / "meta/info.json").read_text())
    names = list(load_embodiment("gr1").joint_names)
    for column in ("observation.state", "action"):
        info["features"][column] |= {"names": [*names[:-1], names[0], *map(str, range(15))]}
    (folder / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DialError, match=rf"no dimension, or several, named {names[0]} of joint group 'left_arm'"):
        convert_lerobot([folder], tmp_path / "out", LeRobotConversion(), workers=0)


def test_a_validity_that_is_no_number_says_nothing(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa", lengths=(4,))
    file = folder / "data/chunk-000/episode_000000.parquet"
    table = parquet.read_table(file)
    place = table.column_names.index("annotation.human.validity")
    parquet.write_table(table.set_column(place, "annotation.human.validity", pyarrow.array([float("inf")] * 4)), file)
    source = LeRobotDataset(folder)
    assert not source.invalid(source.columns(source.episodes[0]))
