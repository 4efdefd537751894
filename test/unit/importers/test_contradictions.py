"""LeRobot datasets whose files contradict each other: nothing of them may become a wrong label or a wrong joint.

pytest test/unit/importers/test_contradictions.py
"""

import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, camera_of, convert_lerobot
from dial_core.importers.source_mapping import load_mapping

from .image_sets import KEY, NAMES, rewrite, write_image_set
from .recordings import robot_with_limits


@pytest.fixture
def folder(tmp_path):
    return write_image_set(tmp_path / "monday/set")


def convert(folder, tmp_path, **options):
    return convert_lerobot(folder if isinstance(folder, list) else [folder], tmp_path / "out", LeRobotConversion(**options), workers=0)


def set_names(folder, names, width) -> None:
    info = json.loads((folder / "meta/info.json").read_text())
    for column in ("observation.state", "action"):
        info["features"][column] |= {"names": names, "shape": [width]}
    (folder / "meta/info.json").write_text(json.dumps(info))


def set_tasks(folder, listed: list[str], of_episode_1: str) -> None:
    rows = [{"task_index": index, "task": task} for index, task in enumerate(listed)]
    (folder / "meta/tasks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rows = [json.loads(line) for line in (folder / "meta/episodes.jsonl").read_text().splitlines()]
    rows[1]["tasks"] = [of_episode_1]
    (folder / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, rows)))


def set_vectors(folder, states: np.ndarray, actions: np.ndarray) -> None:
    """Replaces the vectors of episode 0."""
    file = folder / "data/chunk-000/episode_000000.parquet"
    table = parquet.read_table(file)
    for name, values in (("observation.state", states), ("action", actions)):
        table = table.set_column(table.column_names.index(name), name, pyarrow.array(values.tolist()))
    parquet.write_table(table, file)


@pytest.mark.parametrize(("names", "width"), [(NAMES, len(NAMES) + 1), (["base", *NAMES], len(NAMES)), (NAMES[:-1], len(NAMES))])
def test_names_that_are_not_one_for_each_dimension_name_nothing(folder, tmp_path, names, width):
    # A dimension more than names: each name would stand for its neighbour.
    set_names(folder, names, width)
    with pytest.raises(DialError, match=rf"features\.observation\.state\.names' has {len(names)} names for {width} dimensions"):
        convert(folder, tmp_path)
    assert LeRobotDataset(folder).modality.state == {}


def test_episodes_merged_without_counting_their_tasks_again_are_left_out(folder, tmp_path):
    set_tasks(folder, ["wave", "point"], of_episode_1="point")  # its rows still say task 0
    report = convert(folder, tmp_path)
    assert report.converted == 1
    assert "task_index of its rows means 'wave', its metadata say 'point'" in report.left_out["set, episode 1"]
    assert LeRobotDataset(tmp_path / "out").instructions == ["wave"]


def test_words_that_were_changed_in_the_list_of_tasks_count(folder, tmp_path):
    set_tasks(folder, ["wave with the right hand"], of_episode_1="wave")
    assert convert(folder, tmp_path).converted == 2
    assert LeRobotDataset(tmp_path / "out").instructions == ["wave with the right hand"]


def test_actions_that_are_steps_are_not_taken_for_targets(folder, tmp_path):
    states = 0.5 + 0.02 * np.arange(4)[:, None] * np.ones(len(NAMES))
    set_vectors(folder, states, np.full_like(states, 0.02))
    report = convert(folder, tmp_path)
    assert "its actions look like steps, not like targets" in report.left_out["set, episode 0"]
    assert "(--actions next)" in report.left_out["set, episode 0"]


def test_targets_far_ahead_of_the_joints_are_targets(folder, tmp_path):
    states = 0.02 * np.arange(4)[:, None] * np.ones(len(NAMES))
    set_vectors(folder, states, states + 0.3)
    assert convert(folder, tmp_path).converted == 2


def test_a_dataset_of_states_alone_is_converted_with_the_next_states_as_actions(folder, tmp_path):
    info = json.loads((folder / "meta/info.json").read_text())
    del info["features"]["action"]
    (folder / "meta/info.json").write_text(json.dumps(info))
    for file in (folder / "data").rglob("*.parquet"):
        parquet.write_table(parquet.read_table(file).drop_columns(["action"]), file)
    with pytest.raises(DialError, match="no column 'action'; --actions next takes the next states"):
        convert(folder, tmp_path)
    assert convert(folder, tmp_path, actions="next").converted == 2
    dataset = LeRobotDataset(tmp_path / "out")
    np.testing.assert_allclose(dataset.actions[0], dataset.states[1])


def change_info(folder, change) -> None:
    info = json.loads((folder / "meta/info.json").read_text())
    change(info["features"])
    (folder / "meta/info.json").write_text(json.dumps(info))


def test_cameras_whose_keys_end_alike_are_told_apart(folder):
    # By their last word alone both would be `rgb`, and the wrist's frames would stand for the head's.
    def change(features):
        camera = features.pop(KEY)
        features |= {"observation.images.head.rgb": camera, "observation.images.wrist.rgb": camera, "observation.images.top": camera}

    change_info(folder, change)
    source = LeRobotDataset(folder)
    assert list(source.modality.videos) == ["head.rgb", "wrist.rgb", "top"]
    assert camera_of(source, load_mapping("by_name")) == "head.rgb"


def test_a_vector_in_several_columns_is_named_with_what_puts_it_together(folder, tmp_path):
    change_info(folder, lambda features: features.update({"observation.state.left_arm": features.pop("observation.state")}))
    with pytest.raises(
        DialError, match=r"no column 'observation\.state'; there are observation\.state\.left_arm, which meta/modality\.json"
    ):
        convert(folder, tmp_path)


def write_joint_parts(folder, steps: list[str], width: int = 1) -> None:
    """A modality.json with a part for each joint, whose actions are steps for some."""
    places = {name: {"start": place, "end": place + 1} for place, name in enumerate(NAMES)}
    places[NAMES[0]]["end"] = width
    actions = {name: place | {"absolute": name not in steps} for name, place in places.items()}
    parts = {"state": places, "action": actions, "video": {"top": {"original_key": KEY}}}
    (folder / "meta/modality.json").write_text(json.dumps(parts))


def test_each_joint_has_its_own_kind_of_action(folder, tmp_path):
    states = 0.1 * np.ones((4, len(NAMES)))
    set_vectors(folder, states, np.tile(np.where(np.arange(len(NAMES)) == 1, 0.02, 0.3), (4, 1)))
    write_joint_parts(folder, steps=[NAMES[1]])
    assert convert(folder, tmp_path).converted == 2
    actions = LeRobotDataset(tmp_path / "out").actions[0, 18:]
    assert actions[:3] == pytest.approx([0.3, 0.12, 0.3]), "the second is a step from 0.1, its neighbours are targets"


def test_a_part_with_a_joints_name_and_several_numbers_is_refused(folder, tmp_path):
    write_joint_parts(folder, steps=[], width=2)
    with pytest.raises(DialError, match=f"part '{NAMES[0]}' of the state has 2 numbers, a joint has one"):
        convert(folder, tmp_path)


def change_modality(folder, change) -> None:
    write_joint_parts(folder, steps=[])
    modality = json.loads((folder / "meta/modality.json").read_text())
    change(modality)
    (folder / "meta/modality.json").write_text(json.dumps(modality))


def test_parts_of_different_joints_that_share_a_dimension_are_refused(folder, tmp_path):
    change_modality(folder, lambda modality: modality["action"][NAMES[9]].update(start=3, end=4))
    with pytest.raises(DialError, match=rf"parts '({NAMES[3]}|{NAMES[9]})' and '.*' of the action both hold dimension 3 of 'action'"):
        convert(folder, tmp_path)


def test_a_modality_file_without_cameras_leaves_those_of_info(folder, tmp_path):
    change_modality(folder, lambda modality: modality.pop("video"))
    assert convert(folder, tmp_path).converted == 2


def test_an_unknown_rotation_is_named_with_its_part(folder, tmp_path):
    hand = {"start": 0, "end": 3, "rotation_type": "euler_angles_xyz"}
    change_modality(folder, lambda modality: modality["state"].update(hand=hand))
    with pytest.raises(DialError, match=r"modality\.json: part 'hand': rotation_type 'euler_angles_xyz' is not known"):
        convert(folder, tmp_path)


def test_sources_with_one_name_are_told_apart(folder, tmp_path):
    other = write_image_set(tmp_path / "tuesday/set")
    rewrite(folder, [None] * 4)
    rewrite(other, [None] * 4)
    report = convert([folder, other], tmp_path)
    assert sorted(report.left_out) == ["monday/set, episode 0", "tuesday/set, episode 0"]


def swing(joint: int, rows: int = 60, scale: float = 1.0) -> np.ndarray:
    states = np.zeros((rows, len(NAMES)))
    states[:, joint] = 0.5 * scale * np.sin(np.arange(rows) / 5)
    return states


@pytest.mark.parametrize(("commanded", "said"), [(3, False), (9, True)])
def test_actions_of_other_joints_than_those_that_moved_are_said(folder, tmp_path, commanded, said):
    """Columns of the actions in another order than their names: what moved is not what they tell to move."""
    set_rows(folder, swing(3), swing(commanded))
    report = convert(folder, tmp_path)
    assert report.converted == 2
    text = f"{NAMES[3]} moved otherwise than its actions say; are they of other joints?"
    assert report.remarks == ({"set, episode 0": [text]} if said else {})


def test_a_joint_that_slides_over_centimetres_is_compared_with_its_actions_too(folder, tmp_path, monkeypatch):
    sliding = robot_with_limits(NAMES[3], -0.02, 0.02)
    monkeypatch.setattr("dial_core.importers.lerobot.lerobot_conversion.load_embodiment", lambda name: sliding)
    set_rows(folder, swing(3, scale=0.04), swing(9))
    assert f"{NAMES[3]} moved otherwise than its actions say" in convert(folder, tmp_path).remarks["set, episode 0"][0]


@pytest.mark.parametrize(("late", "said"), [(-3, False), (-1, False), (0, False), (2, True)])
def test_actions_that_come_after_the_motion_are_said(folder, tmp_path, late, said):
    """Rows of the actions that were shifted against those of the states: a policy would learn to go back."""
    whole = swing(3, rows=70)
    set_rows(folder, whole[5:65], whole[5 - late : 65 - late])
    report = convert(folder, tmp_path)
    rate_hz = LeRobotDataset(folder).rate_hz
    text = f"its actions come {late / rate_hz:.2f} s after the joints' own motion; were rows shifted? --actions next takes the next states"
    assert report.remarks == ({"set, episode 0": [text]} if said else {})


def set_rows(folder, states: np.ndarray, actions: np.ndarray) -> None:
    """Replaces episode 0 by one of other vectors and so many rows."""
    file = folder / "data/chunk-000/episode_000000.parquet"
    table = parquet.read_table(file)
    whole = table.take(pyarrow.array([row % len(table) for row in range(len(states))]))
    numbers = np.arange(len(states))
    rate_hz = json.loads((folder / "meta/info.json").read_text())["fps"]
    values = {"observation.state": states.tolist(), "action": actions.tolist(), "frame_index": numbers, "timestamp": numbers / rate_hz}
    for name, column in values.items():
        if name in whole.column_names:
            whole = whole.set_column(whole.column_names.index(name), name, pyarrow.array(column))
    parquet.write_table(whole, file)
    rows = [json.loads(line) for line in (folder / "meta/episodes.jsonl").read_text().splitlines()]
    rows[0]["length"] = len(states)
    (folder / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_an_episode_without_rows_is_named(folder, tmp_path):
    file = folder / "data/chunk-000/episode_000000.parquet"
    parquet.write_table(parquet.read_table(file).slice(0, 0), file)
    assert convert(folder, tmp_path).left_out == {"set, episode 0": "0 rows, its metadata say 4; convert or copy the dataset again"}
