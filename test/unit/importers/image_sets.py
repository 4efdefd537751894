"""Small LeRobot datasets whose camera is a column of encoded images, for tests of the readers."""

import io
import json

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet

from dial_core.robot.embodiment import load_embodiment

NAMES = list(load_embodiment("gr1").joint_names)
KEY = "observation.images.top"
LENGTHS = (4, 3)
IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def pixels(episode: int, frame: int) -> np.ndarray:
    """Noise of its own for each frame, on the episode's brightness: uint8 (24, 24, 3)."""
    noise = np.random.default_rng([episode, frame]).integers(0, 30, (24, 24, 3))
    return (noise + 40 * frame + 20 * episode).astype(np.uint8)


def png(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def cell(episode: int, frame: int) -> dict:
    return {"bytes": png(pixels(episode, frame)), "path": f"frame_{frame:06d}.png"}


def table_of(episode: int, frames, cells=None) -> pyarrow.Table:
    vectors = [[0.1 * frame] * len(NAMES) for frame in frames]
    columns = {
        KEY: pyarrow.array([cell(episode, frame) for frame in frames] if cells is None else cells, IMAGE),
        "observation.state": vectors,
        "action": vectors,
        "timestamp": [frame / 20 for frame in frames],
        "frame_index": list(frames),
        "episode_index": [episode] * len(frames),
        "task_index": [0] * len(frames),
    }
    return pyarrow.table(columns)


def write_image_set(folder, version="v2.1"):
    """A dataset of 2 episodes whose camera is a column of PNG files; of v3.0 both lie in one file, in row groups of 2."""
    vector = {"dtype": "float32", "shape": [len(NAMES)], "names": NAMES}
    info = {
        "codebase_version": version,
        "robot_type": "gr1",
        "fps": 20,
        "total_episodes": 2,
        "total_videos": 0,
        "video_path": None,
        "features": {
            KEY: {"dtype": "image", "shape": [24, 24, 3], "names": ["height", "width", "channel"]},
            "observation.state": vector,
            "action": vector,
        },
    }
    meta, data = folder / "meta", folder / "data/chunk-000"
    meta.mkdir(parents=True)
    data.mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(info))
    tables = [table_of(episode, range(length)) for episode, length in enumerate(LENGTHS)]
    if version == "v3.0":
        parquet.write_table(pyarrow.concat_tables(tables), data / "file-000.parquet", row_group_size=2)
        parquet.write_table(pyarrow.table({"task_index": [0], "task": ["wave"]}), meta / "tasks.parquet")
        (meta / "episodes/chunk-000").mkdir(parents=True)
        place = {"data/chunk_index": [0, 0], "data/file_index": [0, 0], "tasks": [["wave"], ["wave"]]}
        rows = {"episode_index": [0, 1], "length": list(LENGTHS), **place}
        parquet.write_table(pyarrow.table(rows), meta / "episodes/chunk-000/file-000.parquet")
        return folder
    for episode, table in enumerate(tables):
        parquet.write_table(table, data / f"episode_{episode:06d}.parquet")
    (meta / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "wave"}))
    rows = [{"episode_index": episode, "length": length, "tasks": ["wave"]} for episode, length in enumerate(LENGTHS)]
    (meta / "episodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def rewrite(folder, cells, order=None, kind=IMAGE):
    """Replaces the images of episode 0 of a v2 dataset."""
    table = table_of(0, range(4)).set_column(0, KEY, pyarrow.array(cells, kind))
    parquet.write_table(table if order is None else table.take(order), folder / "data/chunk-000/episode_000000.parquet")
