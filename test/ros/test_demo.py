"""The demo from end to end with an untrained model: the graph comes up, the trial is measured, the files are made."""

import json
import os
import subprocess
import sys

import av
import pytest
from PIL import Image

from dial_core.checkpoint.checkpoint import make_random_checkpoint

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def run_demo(*options):
    environment = {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"}
    line = [sys.executable, "-m", "dial_ros.tools.demo", *map(str, options)]
    return subprocess.run(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)


def test_the_demo_measures_a_trial_of_each_task_and_makes_its_files(tmp_path):
    make_random_checkpoint(tmp_path / "checkpoint", seed=0)
    graph = ("--checkpoint", tmp_path / "checkpoint", "--real-time-factor", 0.5)  # a busy machine keeps up with that
    tasks = ("--task", "TrayToPot", "--task", "CupToDrawerClose")
    demo = run_demo(*graph, *tasks, "--trials", 1, "--limit-s", 3, "--out", tmp_path / "out")
    assert demo.returncode == 0, demo.stdout

    trials = json.loads((tmp_path / "out" / "summary.json").read_text())["trials"]
    assert [trial["task"] for trial in trials] == ["TrayToPot", "CupToDrawerClose"]
    assert [place in trial["instruction"] for trial, place in zip(trials, ("pot", "drawer"), strict=True)] == [True, True]
    for trial in trials:
        assert trial["success"] is False
        assert trial["sim_s"] >= 3.0
        assert trial["system1_rate_hz"] > 0
        assert trial["system2_rate_hz"] > 0
        assert (trial["rejected_chunks"], trial["rejected_trajectories"]) == (0, 0)
    with av.open(str(tmp_path / "out" / "demo.mp4")) as video:
        frames = sum(1 for _ in video.decode(video=0))
    assert frames > 40, "a second of film of each at least, however many frames a busy machine lost"
    with Image.open(tmp_path / "out" / "demo.gif") as moving:
        # Every third frame of one of the two trials, and the held last one once.
        assert moving.n_frames > (frames / 2 - 25) / 4
    assert (tmp_path / "out" / "foresight.png").stat().st_size > 10_000


def test_a_node_that_cannot_start_ends_the_demo_with_its_last_words(tmp_path):
    make_random_checkpoint(tmp_path / "checkpoint", seed=0)
    (tmp_path / "checkpoint" / "model.safetensors").unlink()
    demo = run_demo("--checkpoint", tmp_path / "checkpoint", "--trials", 1, "--out", tmp_path / "out")
    assert demo.returncode == 1
    assert "ended with status 1" in demo.stdout
    assert "configure failed" in demo.stdout


def test_a_missing_checkpoint_is_reported_before_anything_starts(tmp_path):
    demo = run_demo("--checkpoint", tmp_path / "nothing_here", "--out", tmp_path / "out")
    assert demo.returncode == 1
    assert "no such folder" in demo.stdout
    assert not (tmp_path / "out").exists()
