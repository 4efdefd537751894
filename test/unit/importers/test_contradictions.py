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
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, convert_lerobot

from .image_sets import NAMES, rewrite, write_image_set


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
    with pytest.raises(DialError, match="the action has no part 'left_arm'"):
        convert(folder, tmp_path)
    assert convert(folder, tmp_path, actions="next").converted == 2
    dataset = LeRobotDataset(tmp_path / "out")
    np.testing.assert_allclose(dataset.actions[0], dataset.states[1])


def test_sources_with_one_name_are_told_apart(folder, tmp_path):
    other = write_image_set(tmp_path / "tuesday/set")
    rewrite(folder, [None] * 4)
    rewrite(other, [None] * 4)
    report = convert([folder, other], tmp_path)
    assert sorted(report.left_out) == ["monday/set, episode 0", "tuesday/set, episode 0"]
