import errno
from pathlib import Path

import numpy as np
import pytest

from dial_core.evaluation.closed_loop import episode_video, rollout
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult, Verdicts, run_cases
from dial_core.files.disk_space import DiskFullError


def test_success_must_last_and_stretches_are_counted_from_one():
    for hold_steps, success in ((3, True), (4, False)):
        verdicts = Verdicts(hold_steps)
        assert not verdicts.success
        for step, done in enumerate([False, True, True, False, True, True, True], 1):
            verdicts.add(step, done)
        assert verdicts.success is success
        assert (verdicts.count, verdicts.done) == (7, [[2, 3], [5, 7]])


def test_judged_where_chunks_end_two_successes_are_two_stretches():
    verdicts = Verdicts(hold_steps=1)
    verdicts.add(16, True)
    verdicts.add(32, True)
    assert verdicts.done == [[16, 16], [32, 32]]


@pytest.mark.slow
def test_the_expert_succeeds_and_leaves_a_video(tmp_path, fresh_worker):
    case = Case("PlacematToPlate", 100_001)
    kept: list[EpisodeResult] = []
    films = {case: tmp_path / "expert.mp4"}
    run_cases(Protocol(policy="expert"), PolicySource("expert"), [case], 0, kept.append, films)
    (result,) = kept
    assert result.success
    assert result.named_moved
    assert result.received_instruction == result.instruction
    assert result.judged == result.steps
    assert (tmp_path / "expert.mp4").stat().st_size > 1000


def test_an_episode_ends_when_success_has_lasted_or_time_is_up(stand_in):
    kept: list[EpisodeResult] = []
    for hold_steps, steps in ((10, 15), (1, 6), (20, 20)):
        protocol = Protocol(policy="random", hold_steps=hold_steps)
        run_cases(protocol, PolicySource("random"), [Case("PlacematToPlate", 100_000)], 0, kept.append)
        assert kept[-1].steps == steps
    assert [result.success for result in kept] == [True, True, False]


def filmed(folder: Path) -> list[EpisodeResult]:
    """The results of one filmed episode whose video goes into `folder`."""
    kept: list[EpisodeResult] = []
    case = Case("PlacematToPlate", 100_000)
    run_cases(Protocol(policy="random"), PolicySource("random"), [case], 0, kept.append, {case: folder / "a.mp4"})
    return kept


def test_an_episode_counts_whose_video_cannot_be_written(stand_in, tmp_path, capsys):
    (tmp_path / "videos").write_text("a file where the folder of the videos belongs")
    (result,) = filmed(tmp_path / "videos")
    assert (result.success, result.error, result.steps) == (True, None, 15)
    assert f"{tmp_path / 'videos/a.mp4'} was not written: FileExistsError" in " ".join(capsys.readouterr().err.split("\n"))


def test_an_episode_counts_that_cannot_be_filmed_and_leaves_no_half_of_a_video(stand_in, tmp_path, capsys, monkeypatch):
    def broken(self):
        if self.steps == 3:
            raise RuntimeError("the renderer is gone")
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr(stand_in, "video_frame", broken)
    (result,) = filmed(tmp_path)
    assert (result.success, result.error, result.steps) == (True, None, 15)
    assert "a.mp4 was not written: RuntimeError: the renderer is gone" in capsys.readouterr().err
    monkeypatch.setattr(stand_in, "video_frame", lambda self: np.zeros((64, 64, 3) if self.steps < 3 else (64, 64), np.uint8))
    assert filmed(tmp_path)[0].success  # the encoder stops at a frame without colours
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_with_a_video_ends_the_evaluation(stand_in, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a.mp4"))

    monkeypatch.setattr(episode_video, "write_video", full)
    with pytest.raises(DiskFullError, match=r"the disk is full .* while writing a\.mp4"):
        filmed(tmp_path)


@pytest.mark.parametrize(("source", "made"), [(PolicySource("checkpoint", "tcp://host:1"), 2), (PolicySource("checkpoint", "folder"), 1)])
def test_a_served_checkpoint_is_connected_to_once_an_episode(stand_in, monkeypatch, source, made):
    policies, honest = [], rollout.make_policy
    monkeypatch.setattr(rollout, "make_policy", lambda *given: policies.append(honest(*given)) or policies[-1])
    run_cases(Protocol(), source, [Case("PlacematToPlate", 100_000 + place) for place in range(2)], 0, lambda result: None)
    assert len(policies) == made
