"""The descriptions that a LeRobot v3 dataset of ours carries: features, tasks, GR00T's modality map and the dataset card."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow

from dial_core.robot.embodiment import Embodiment

CHUNKS_SIZE = 1000  # files in a folder `chunk-000`
EPISODES_PER_FILE, DATA_FILE_MB, VIDEO_FILE_MB = 500, 100, 500  # what a file holds at most (MB: 2**20 bytes), unless one episode is larger
CODEC, PIXEL_FORMAT = "h264", "yuv444p"  # of the videos that this package writes
SCALARS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"}


def vector_names(embodiment: Embodiment) -> list[str]:
    """Names of the state's and action's dimensions, in vector order."""
    return list(embodiment.vector_names)


def info_of(embodiment: Embodiment, videos: dict[str, tuple[int, int]], episodes: int, frames: int, tasks: int) -> dict:
    """Content of `meta/info.json`. `videos`: (height, width) [pixel] by key, the head camera's first."""
    vector = {"dtype": "float32", "shape": [embodiment.state_dim], "names": vector_names(embodiment)}
    cameras = {key: _camera_feature(*shape, embodiment.rate_hz) for key, shape in videos.items()}
    scalars = {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in SCALARS.items()}
    return {
        "codebase_version": "v3.0",
        "robot_type": embodiment.name,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": _number(embodiment.rate_hz),
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {**cameras, "observation.state": vector, "action": vector, **scalars},
    }


def _number(rate_hz: float) -> float:
    """LeRobot's readers want a whole number where the rate is one; 29.97 must not become 30."""
    return int(rate_hz) if rate_hz == int(rate_hz) else rate_hz


def _camera_feature(height: int, width: int, rate_hz: float) -> dict:
    video = {
        "video.height": height,
        "video.width": width,
        "video.channels": 3,
        "video.fps": _number(rate_hz),
        "video.codec": CODEC,
        "video.pix_fmt": PIXEL_FORMAT,
        "video.is_depth_map": False,
        "has_audio": False,
    }
    return {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"], "info": video}


def modality_of(embodiment: Embodiment, keys: dict[str, str]) -> dict:
    """Content of `meta/modality.json`: which slice of the vectors is which part of the robot (GR00T's convention).

    `keys`: the videos' keys by camera name.
    """
    parts = {
        "left_wrist_position": slice(0, 3),
        "left_wrist_rotation_6d": slice(3, 9),
        "right_wrist_position": slice(9, 12),
        "right_wrist_rotation_6d": slice(12, 18),
        **{group: embodiment.group_slice(group) for group in dict.fromkeys(joint.group for joint in embodiment.joints)},
    }
    vector = {name: {"start": part.start, "end": part.stop} for name, part in parts.items()}
    return {
        "state": vector,
        "action": vector,
        "video": {name: {"original_key": key} for name, key in keys.items()},
        "annotation": {"human.task_description": {"original_key": "task_index"}},
    }


def tasks_table(tasks: dict[str, int]) -> pyarrow.Table:
    """`meta/tasks.parquet`: the instruction is the index, as pandas (which LeRobot reads with) writes it."""
    table = pyarrow.table({"task_index": list(tasks.values()), "task": list(tasks)})
    column = {"metadata": None}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", **column},
            {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", **column},
        ],
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def card_of(info: dict, instructions: Sequence[str]) -> str:
    """`README.md`: the dataset card by which the Hugging Face hub lists and previews it."""
    episodes, frames, rate_hz = info["total_episodes"], info["total_frames"], info["fps"]
    shown = "\n".join(f"- {text}" for text in instructions[:10])
    more = f"\n- and {len(instructions) - 10} more" if len(instructions) > 10 else ""
    hours = frames / rate_hz / 3600
    cameras = ", ".join(key for key, feature in info["features"].items() if feature["dtype"] == "video")
    return f"""---
license: unknown
task_categories:
- robotics
tags:
- LeRobot
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# {info["robot_type"]}: {episodes} episodes

LeRobot {info["codebase_version"]}, {frames} frames at {rate_hz:g} Hz ({hours:.2f} h), cameras: {cameras}.
State and action have the same layout, absolute targets: both wrist poses ([m], 6D rotation), then the joints [rad];
`meta/info.json` names every dimension.

Instructions:

{shown}{more}
"""
