import json

import pyarrow
import pytest
from pyarrow import parquet

from dial_core.config import load_config
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training.recipe import DataSource, Recipe
from dial_core.training.source_checks import require_encodable, require_rate, require_same_robot, require_same_vectors
from dial_core.training.stages import open_sources


@pytest.fixture
def recipe() -> Recipe:
    return load_config(Recipe, "training", "finetune")


def test_data_of_another_robot_is_not_trained_into_a_slot(fake_dataset, recipe, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset")
    file = dataset.folder / "meta/info.json"
    file.write_text(file.read_text().replace('"robot_type": "gr1"', '"robot_type": "iron"'))
    with pytest.raises(DialError, match=r"source 'robot': .*dataset is of 'iron', but it is to be trained into slot 'gr1'"):
        require_same_robot("robot", LeRobotDataset(dataset.folder), recipe)


def with_tasks(folder, tasks) -> None:
    """Replaces the tasks of episode 1 in the metadata."""
    file = next((folder / "meta/episodes").rglob("*.parquet"))
    table = parquet.read_table(file)
    listed = table["tasks"].to_pylist()
    listed[1] = tasks
    column = pyarrow.array(listed, pyarrow.list_(pyarrow.string()))
    parquet.write_table(table.set_column(table.schema.get_field_index("tasks"), "tasks", column), file)


@pytest.mark.parametrize("tasks", [[], [" "]])
def test_an_episode_without_an_instruction_is_not_trained_with_anothers(fake_dataset, recipe, tmp_path, tasks):
    folder = fake_dataset(tmp_path / "dataset").folder
    with_tasks(folder, tasks)
    with pytest.raises(DialError, match=r"source 'robot': .*dataset, episode 1 has no instruction in meta/episodes \(1 of 3 "):
        open_sources(recipe, {"robot": folder})


def test_an_episode_whose_instruction_changes_is_not_trained_with_the_first(fake_dataset, recipe, tmp_path):
    folder = fake_dataset(tmp_path / "dataset", (24, 30)).folder
    file = next((folder / "data").rglob("*.parquet"))
    table = parquet.read_table(file)
    numbers = table["task_index"].to_numpy().copy()
    numbers[24 + 12 : 24 + 30] = 0
    place = table.schema.get_field_index("task_index")
    parquet.write_table(table.set_column(place, table.schema.field(place), pyarrow.array(numbers)), file)
    with pytest.raises(DialError, match=r"episode 1: its instruction changes in frame 12 from 'put the cup .*' to 'put the can"):
        open_sources(recipe, {"robot": folder})


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("pick <|image_pad|> up", r"contains <\|image_pad\|>"),
        ("put " * 200, r"makes a prompt of \d+ tokens, 60 fit \(prompt_tokens"),
    ],
)
def test_instructions_that_become_no_prompt_are_named_before_the_first_step(fake_dataset, tmp_path, instruction, message):
    dataset = fake_dataset(tmp_path / "dataset")
    prompter = Prompter(tiny_tokenizer(), 36, longest=60)
    require_encodable({"robot": dataset}, prompter)
    with_tasks(dataset.folder, [instruction])
    with pytest.raises(DialError, match=rf"source 'robot': .*dataset, episode 1: the instruction '.*{message}"):
        require_encodable({"robot": LeRobotDataset(dataset.folder)}, prompter)


@pytest.mark.parametrize("column", ["observation.state", "action"])
def test_data_whose_joints_are_in_another_order_are_not_trained_on(fake_dataset, recipe, tmp_path, column):
    dataset = fake_dataset(tmp_path / "dataset")
    require_same_vectors("robot", dataset, recipe)
    info = json.loads((dataset.folder / "meta/info.json").read_text())
    names = info["features"][column]["names"]
    info["features"][column]["names"] = names[:18] + names[18:][::-1]
    (dataset.folder / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DialError, match=rf"dimension 18 of {column} in .* is '{names[-1]}', of embodiment 'gr1' it is '{names[18]}'"):
        open_sources(recipe, {"robot": dataset.folder})
    wrists = recipe.model_copy(update={"sources": {"robot": DataSource(slot="gr1", dimensions="eef")}})
    require_same_vectors("robot", LeRobotDataset(dataset.folder), wrists)


def test_data_with_another_number_of_dimensions_and_no_names_are_not_trained_on(fake_dataset, recipe, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset")
    info = json.loads((dataset.folder / "meta/info.json").read_text())
    for column in ("observation.state", "action"):
        info["features"][column] |= {"shape": [14], "names": None}
    (dataset.folder / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DialError, match=r"has 14 dimensions of observation.state, embodiment 'gr1' has 47; `dial convert lerobot`"):
        require_same_vectors("robot", LeRobotDataset(dataset.folder), recipe)


@pytest.mark.parametrize(
    ("shape", "names", "found"),
    [(14, [f"joint_{place}" for place in range(14)], "begins with joint_0, joint_1"), (47, None, "names no dimensions")],
)
def test_another_robots_vectors_begin_with_two_wrists(fake_dataset, recipe, tmp_path, shape, names, found):
    dataset = fake_dataset(tmp_path / "dataset")
    two_robots = recipe.model_copy(update={"sources": {"arms": DataSource(slot="arms")}})
    require_same_vectors("arms", dataset, two_robots)
    info = json.loads((dataset.folder / "meta/info.json").read_text())
    for column in ("observation.state", "action"):
        info["features"][column] |= {"shape": [shape], "names": names}
    (dataset.folder / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DialError, match=rf"source 'arms': observation.state in .* {found}.*every robot's vectors begin with two wrists"):
        require_same_vectors("arms", LeRobotDataset(dataset.folder), two_robots)


def test_data_of_another_rate_is_trained_on_only_if_the_recipe_says_so(fake_dataset, recipe, tmp_path):
    dataset = fake_dataset(tmp_path / "dataset")
    file = dataset.folder / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fps": 30.0}))
    people = DataSource(slot="gr1", human=True, dimensions="eef")
    of_people = recipe.model_copy(update={"sources": {"human": people}})
    with pytest.raises(DialError, match=r"has 30 frames a second, the recipe expects 20; .* `sources.human.rate_hz: 30`"):
        require_rate("human", LeRobotDataset(dataset.folder), of_people)
    as_it_is = recipe.model_copy(update={"sources": {"human": people.model_copy(update={"rate_hz": 30.0})}})
    require_rate("human", LeRobotDataset(dataset.folder), as_it_is)


@pytest.mark.parametrize("rate_hz", [None, 30.0])
def test_the_robots_own_data_come_at_the_rate_at_which_its_chunks_are_executed(fake_dataset, recipe, tmp_path, rate_hz):
    dataset = fake_dataset(tmp_path / "dataset")
    file = dataset.folder / "meta/info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fps": 30.0}))
    asked = recipe.model_copy(update={"sources": {"robot": DataSource(slot="gr1", rate_hz=rate_hz)}})
    with pytest.raises(
        DialError, match=r"chunks of 'gr1' are executed at 20: it would move 0.67 times as fast .*Convert the data to 20 Hz"
    ):
        require_rate("robot", LeRobotDataset(dataset.folder), asked)
