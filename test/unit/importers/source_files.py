"""Small datasets in other people's exact layouts, as their writers leave them, for tests of the readers."""

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow
from pyarrow import parquet

from dial_core.datasets.video import write_video

# GR00T's GR1 sets: 44 numbers a vector.
GR1_PARTS = {
    "left_arm": (0, 7),
    "left_hand": (7, 13),
    "left_leg": (13, 19),
    "neck": (19, 22),
    "right_arm": (22, 29),
    "right_hand": (29, 35),
    "right_leg": (35, 41),
    "waist": (41, 44),
}


def grey_frames(numbers, height: int = 16, width: int = 16):
    """Frames whose grey is their number: frame n has the value 10 * n."""
    return [np.full((height, width, 3), 10 * number, np.uint8) for number in numbers]


def vector_of(frame: int) -> np.ndarray:
    """Dimension d of frame f is d / 100 + f / 1000."""
    return np.arange(44) / 100 + frame / 1000


def write_gr00t_set(
    folder: Path, lengths=(4, 3), version: str = "v2.0", rate_hz: float = 20.0, words: str = "unlocked_waist: pick the cup"
) -> Path:
    """A LeRobot v2 dataset with modality.json, as GR00T's simulated GR1 sets are: actions are the state plus 0.5."""
    parts = {name: {"start": start, "end": end} for name, (start, end) in GR1_PARTS.items()}
    key = "observation.images.ego_view"
    vector = {"dtype": "float64", "shape": [44], "names": [f"motor_{index}" for index in range(44)]}
    scalar = {"dtype": "int64", "shape": [1]}
    info = {
        "codebase_version": version,
        "robot_type": "GR1ArmsOnly",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "chunks_size": 1000,
        "fps": rate_hz,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": {
            key: {"dtype": "video", "shape": [16, 16, 3], "names": ["height", "width", "channel"]},
            "observation.state": vector,
            "action": vector,
            "timestamp": {"dtype": "float64", "shape": [1]},
            "annotation.human.coarse_action": scalar,
            "annotation.human.validity": scalar,
            "task_index": scalar,
            "episode_index": scalar,
            "index": scalar,
        },
    }
    modality = {
        "state": parts,
        "action": parts,
        "video": {"ego_view": {"original_key": key}},
        "annotation": {"human.validity": {}, "human.coarse_action": {}},
    }
    meta = folder / "meta"
    meta.mkdir(parents=True)
    (meta / "info.json").write_text(json.dumps(info))
    (meta / "modality.json").write_text(json.dumps(modality))
    tasks = [{"task_index": 0, "task": words}, {"task_index": 1, "task": "valid"}, {"task_index": 2, "task": "invalid"}]
    _write_lines(meta / "tasks.jsonl", tasks)
    rows = [{"episode_index": e, "tasks": [words, "valid"], "length": length} for e, length in enumerate(lengths)]
    _write_lines(meta / "episodes.jsonl", rows)
    if version == "v2.1":
        _write_lines(meta / "episodes_stats.jsonl", [{"episode_index": e, "stats": {}} for e in range(len(lengths))])
    for episode, length in enumerate(lengths):
        states = np.stack([vector_of(frame) for frame in range(length)])
        write_gr00t_episode(folder, episode, states, states + 0.5, rate_hz)
        write_video(folder / f"videos/chunk-000/{key}/episode_{episode:06d}.mp4", grey_frames(range(length)), rate_hz)
    return folder


def write_gr00t_episode(
    folder: Path, episode: int, states: np.ndarray, actions: np.ndarray, rate_hz: float = 20.0, valid: bool = True
) -> None:
    """One episode's parquet file."""
    length = len(states)
    columns = {
        "observation.state": states.tolist(),
        "action": actions.tolist(),
        "timestamp": (np.arange(length) / rate_hz).tolist(),
        "annotation.human.coarse_action": [0] * length,
        "annotation.human.validity": [1 if valid else 2] * length,
        "task_index": [0] * length,
        "episode_index": [episode] * length,
        "index": list(range(length)),
    }
    path = folder / f"data/chunk-000/episode_{episode:06d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def write_egodex(
    folder: Path, number: int, poses: dict[str, np.ndarray], confidences: dict[str, np.ndarray] | None = None, **attributes
) -> Path:
    """`N.hdf5` and `N.mp4`: world poses (F, 4, 4) by name (`camera`, `leftHand`, `rightHand`), words as attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number}.hdf5"
    with h5py.File(file, "w") as recording:
        recording["camera/intrinsic"] = np.array([[736.6339, 0, 960], [0, 736.6339, 540], [0, 0, 1]], np.float32)
        for name, values in poses.items():
            recording[f"transforms/{name}"] = values.astype(np.float32)
        for name, values in (confidences or {}).items():
            recording[f"confidences/{name}"] = values.astype(np.float32)
        recording.attrs.update(attributes)
    write_video(file.with_suffix(".mp4"), grey_frames(range(len(poses["camera"])), 18, 32), 30.0)
    return file


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
