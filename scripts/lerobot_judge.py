"""Judges datasets of ours by LeRobot itself: loading, delta timestamps, statistics, merging, splitting, and its doctor and lint.

Runs in an environment of its own, without this package (scripts/judge_by_lerobot.sh): python lerobot_judge.py SCRATCH DATASET...
Ends with status 1 if one of them finds what is not meant.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lerobot.datasets.compute_stats import aggregate_stats, compute_episode_stats
from lerobot.datasets.dataset_tools import merge_datasets, split_dataset
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from meant_findings import ACTION, MASK, STATE, Vectors, reason_of

CHUNK = 16
TOLERANCE = 1e-4  # of an action against the row that its delta timestamp names
QUANTILES_APART = 0.05  # of a dimension's range: LeRobot reads its quantiles off histograms
MOMENTS_APART, ROUNDING = 1e-4, 1e-5  # of the range, and of float32 sums
HISTOGRAM_BIN = 0.01  # of a dimension that hardly moves


def load(folder: Path, **options) -> LeRobotDataset:
    """The dataset as LeRobot opens it."""
    return LeRobotDataset(f"judged/{folder.name}", root=folder, **options)


def check_samples(folder: Path) -> str:
    """Every sample with a chunk of actions and the frame 0.2 s before; what was read."""
    plain = load(folder)
    rate_hz = plain.meta.fps
    camera = plain.meta.camera_keys[0]
    deltas = {"action": [step / rate_hz for step in range(CHUNK)], camera: [-4 / rate_hz, 0.0]}
    dataset = load(folder, delta_timestamps=deltas)
    actions = np.stack([np.asarray(row) for row in dataset.hf_dataset["action"]])
    episodes = np.asarray([int(value) for value in dataset.hf_dataset["episode_index"]])
    for place in range(0, len(dataset), 7):
        sample = dataset[place]
        assert tuple(sample["action"].shape) == (CHUNK, actions.shape[1]), sample["action"].shape
        ahead = np.minimum(place + np.arange(CHUNK), np.flatnonzero(episodes == episodes[place])[-1])
        assert np.abs(sample["action"].numpy() - actions[ahead]).max() < TOLERANCE
        assert sample[camera].shape[0] == 2
        assert np.isfinite(sample["observation.state"].numpy()).all()
        assert isinstance(sample["task"], str)
        assert sample["task"].strip()
    return f"{len(dataset)} samples of {dataset.num_episodes} episodes, cameras {', '.join(plain.meta.camera_keys)}"


def check_statistics(folder: Path) -> str:
    """`meta/stats.json` against LeRobot's own `compute_episode_stats` over the same rows; the largest difference."""
    dataset = load(folder)
    features = {key: value for key, value in dataset.meta.features.items() if value["dtype"] not in ("video", "image", "string")}
    episodes = np.asarray([int(value) for value in dataset.hf_dataset["episode_index"]])
    # As float64: LeRobot subtracts the squared mean from the mean of squares, which in float32 leaves 1e-3 of nothing.
    columns = {key: np.stack([np.asarray(value, np.float64) for value in dataset.hf_dataset[key]]) for key in features}
    own = [compute_episode_stats({key: column[episodes == e] for key, column in columns.items()}, features) for e in np.unique(episodes)]
    expected = aggregate_stats(own)
    stored = dataset.meta.stats
    missing = set(dataset.meta.features) - set(stored)
    assert not missing, f"no statistics of {missing}"
    worst = 0.0
    for key in features:
        spread = np.ravel(expected[key]["max"]) - np.ravel(expected[key]["min"])
        for name in ("min", "max", "mean", "std", "q01", "q50", "q99"):
            apart = np.abs(np.ravel(stored[key][name]) - np.ravel(expected[key][name]))
            share = QUANTILES_APART if name.startswith("q") else MOMENTS_APART
            floor = HISTOGRAM_BIN if name.startswith("q") else ROUNDING
            assert (apart <= share * spread + floor).all(), f"{key}/{name}: {apart.max():.3g} with a range of {spread.max():.3g}"
            worst = max(worst, 0.0 if name.startswith("q") else float(apart.max()))
    for key in dataset.meta.camera_keys:
        assert np.shape(stored[key]["mean"]) == (3, 1, 1), np.shape(stored[key]["mean"])
        assert 0 < float(np.mean(stored[key]["mean"])) < 1
    return f"statistics of {len(features)} columns and {len(dataset.meta.camera_keys)} cameras; means and ranges within {worst:.1e}"


def check_tools(folder: Path, scratch: Path) -> str:
    """Merged with itself and split again by LeRobot's tools: as many episodes and frames as there must be."""
    dataset = load(folder)
    count, frames = dataset.num_episodes, dataset.num_frames
    merged = merge_datasets([dataset, load(folder)], "judged/merged", output_dir=scratch / f"{folder.name}-merged")
    assert (merged.num_episodes, merged.num_frames) == (2 * count, 2 * frames)
    assert merged[frames]["action"].equal(dataset[0]["action"])
    parts = split_dataset(merged, {"a": [0], "b": list(range(1, 2 * count))}, output_dir=scratch / f"{folder.name}-split")
    assert [part.num_episodes for part in parts.values()] == [1, 2 * count - 1]
    return f"merged to {2 * count} episodes, split to 1 and {2 * count - 1}"


def check_doctor(folder: Path) -> str:
    """Findings of lerobot-doctor."""
    text = _output("lerobot-doctor", "check", str(folder), "--json")
    return _judged([{"message": message} for message in _messages(json.loads(text[text.index("{") :]))], folder)


def check_lint(folder: Path, scratch: Path) -> str:
    """Findings of lerobot-lint."""
    file = scratch / f"{folder.name}-lint.json"
    _output("lelint", "check", str(folder.resolve()), "--json", str(file))
    return _judged(json.loads(file.read_text())["findings"], folder)


def _output(name: str, *words: str) -> str:
    done = subprocess.run([str(Path(sys.executable).parent / name), *words], capture_output=True, text=True, check=False)
    if "Traceback" in done.stderr.split("[end of libtorchcodec loading traceback]")[-1]:
        raise AssertionError(f"{name} crashed: {done.stderr[-1000:]}")
    return done.stdout


def _messages(report) -> Iterator[str]:
    """All messages of a doctor's report that are no passes."""
    if isinstance(report, dict):
        if str(report.get("severity", "")).upper() in ("WARN", "FAIL", "ERROR", "WARNING") and isinstance(report.get("message"), str):
            yield report["message"]
        for value in report.values():
            yield from _messages(value)
    elif isinstance(report, list):
        for value in report:
            yield from _messages(value)


def _judged(findings: list[dict], folder: Path) -> str:
    vectors = _vectors(folder)
    reasons = [reason_of(finding, vectors) for finding in findings]
    if unmeant := sorted({_shown(finding) for finding, why in zip(findings, reasons, strict=True) if not why}):
        raise AssertionError(f"{len(unmeant)} of {len(findings)} findings are not meant:\n      " + "\n      ".join(unmeant[:12]))
    counts = Counter(reasons)
    return f"{len(findings)} findings, all meant: {'; '.join(f'{why} ({counts[why]})' for why in sorted(counts)) or 'none'}"


def _vectors(folder: Path) -> Vectors:
    """State, action and their mask of a dataset, with the names of their dimensions."""
    dataset = load(folder)
    rows, names = dataset.hf_dataset, tuple(dataset.meta.features[STATE]["names"])
    columns = {name: np.stack([np.asarray(row) for row in rows[name]]) for name in (STATE, ACTION, MASK) if name in rows.column_names}
    return Vectors(columns, names, np.asarray([int(value) for value in rows["episode_index"]]))


def _shown(finding: dict) -> str:
    return ": ".join(filter(None, (finding.get("check"), finding["message"])))


def main(words: list[str]) -> int:
    scratch, folders = Path(words[0]), [Path(word) for word in words[1:]]
    failed = []
    for folder in folders:
        print(f"== {folder}", flush=True)
        checks = {
            "load": lambda folder=folder: check_samples(folder),
            "statistics": lambda folder=folder: check_statistics(folder),
            "tools": lambda folder=folder: check_tools(folder, scratch),
            "doctor": lambda folder=folder: check_doctor(folder),
            "lint": lambda folder=folder: check_lint(folder, scratch),
        }
        for name, check in checks.items():
            try:
                print(f"   {name}: {check()}", flush=True)
            except Exception as error:  # every judge reports
                failed.append(f"{folder.name} {name}")
                print(f"   {name} FAILED: {type(error).__name__}: {str(error)[:1500]}", flush=True)
    print(json.dumps({"datasets": len(folders), "failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
