"""A dataset of `dial collect` read by nothing of ours: pyarrow, PyAV and the public description of LeRobot v3.

Values must equal the simulation's. pytest test/unit/data/test_independent_reader.py
"""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from pyarrow import parquet

from dial_core.demonstrations.collect import collect
from dial_core.demonstrations.collection_plan import CollectionPlan
from dial_core.demonstrations.demonstration import demonstrate
from dial_core.sim.task import load_task
from dial_core.sim.world import World

TASKS = ("PlacematToPlate", "PlateToBowl")
CAMERA = "observation.images.ego"


class Reader:
    """LeRobot v3 as its description says: `info.json` has path templates, `meta/episodes` says which rows and seconds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = json.loads((root / "meta/info.json").read_text())
        files = sorted((root / "meta/episodes").rglob("*.parquet"))
        self.episodes = [row for file in files for row in parquet.read_table(file).to_pylist()]
        tasks = parquet.read_table(root / "meta/tasks.parquet").to_pylist()
        self.tasks = {row["task_index"]: row["task"] for row in tasks}

    def rows(self, episode: dict) -> dict[str, np.ndarray]:
        path = self.info["data_path"].format(chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"])
        table = parquet.read_table(self.root / path, filters=[("episode_index", "=", episode["episode_index"])])
        return {name: np.array(table[name].to_pylist()) for name in table.column_names}

    def frames(self, episode: dict) -> np.ndarray:
        where = {key: episode[f"videos/{CAMERA}/{key}"] for key in ("chunk_index", "file_index")}
        start, end = (episode[f"videos/{CAMERA}/{key}_timestamp"] for key in ("from", "to"))
        with av.open(str(self.root / self.info["video_path"].format(video_key=CAMERA, **where))) as container:
            shown = [frame for frame in container.decode(video=0) if start - 1e-3 <= frame.time < end - 1e-3]
            return np.stack([frame.to_ndarray(format="rgb24") for frame in shown])


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Reader:
    out = tmp_path_factory.mktemp("collected") / "dataset"
    collect(tuple(load_task(name) for name in TASKS), CollectionPlan(TASKS, 1, 0, 0.0), out, workers=0)
    return Reader(out)


def test_every_value_is_the_simulations(reader):
    assert reader.info["codebase_version"] == "v3.0"
    assert len(reader.episodes) == reader.info["total_episodes"] == len(TASKS)
    for name, row in zip(TASKS, reader.episodes, strict=True):
        truth, _ = demonstrate(World(name), row["seed"])
        values = reader.rows(row)
        np.testing.assert_array_equal(values["observation.state"].astype(np.float32), truth.states)
        np.testing.assert_array_equal(values["action"].astype(np.float32), truth.actions)
        np.testing.assert_allclose(values["timestamp"], np.arange(len(truth)) / reader.info["fps"], atol=1e-6)
        np.testing.assert_array_equal(values["frame_index"], np.arange(len(truth)))
        assert {reader.tasks[index] for index in values["task_index"]} == {truth.instruction} == set(row["tasks"])
        images = reader.frames(row)
        assert images.shape == truth.frames.shape
        assert np.abs(images.astype(float) - truth.frames).mean() < 3.0


def test_modality_and_statistics_describe_what_is_there(reader):
    modality = json.loads((reader.root / "meta/modality.json").read_text())
    assert modality["video"]["ego"]["original_key"] == CAMERA
    actions = np.concatenate([reader.rows(row)["action"] for row in reader.episodes])
    covered = sorted(i for part in modality["action"].values() for i in range(part["start"], part["end"]))
    assert covered == list(range(actions.shape[1]))
    stats = json.loads((reader.root / "meta/stats.json").read_text())["action"]
    np.testing.assert_allclose(stats["mean"], actions.mean(0), atol=1e-5)
    np.testing.assert_allclose(stats["max"], actions.max(0), atol=1e-6)


def test_previews_show_each_task(reader):
    assert (reader.root / "previews/contact_sheet.png").stat().st_size > 10_000
    assert sorted(path.stem.rpartition("-")[0] for path in (reader.root / "previews").glob("*.mp4")) == sorted(TASKS)
