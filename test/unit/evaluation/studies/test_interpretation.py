from dataclasses import replace

import numpy as np
import pytest

from dial_core.datasets.video import read_video
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.dial_policy import open_sessions
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.suites import holds_several_objects
from dial_core.evaluation.studies import interpretation
from dial_core.evaluation.studies.foresight_quality import (
    errors,
    measure,
    names_heeded,
    relative_error,
    summarise_quality,
    write_quality,
)
from dial_core.evaluation.studies.instruction_change import two_object_seeds
from dial_core.evaluation.studies.interpretation import Interpreter, Watched, watch

CASE = Case("PlacematToPlate", 100_000)


@pytest.fixture(scope="module")
def watched() -> Watched:
    """24 frames whose four patches drift; a foresight every 5 steps that is right but for its last patch."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (24, 96, 96, 3), dtype=np.uint8)
    tokens = np.cumsum(rng.normal(size=(24, 4, 8)), axis=0).astype(np.float32)
    foresights = {}
    for step in range(0, 24, 5):
        foresights[step] = tokens[min(step + 16, 23)].copy()
        foresights[step][3] = tokens[step][3]
    return Watched(CASE, "put the can on the plate", frames, tokens, foresights, horizon=16, rate_hz=20.0, success=True)


def test_the_future_is_one_horizon_later_and_at_most_the_last_frame(watched):
    assert watched.future_of(0) == 16
    assert watched.future_of(20) == 23


def test_true_future_and_foresight_have_equal_colours_where_they_agree(watched):
    panels = Interpreter(watched).panels(5)
    truth, foresight = panels["true future, PCA"].reshape(-1, 3), panels["foresight, PCA"].reshape(-1, 3)
    np.testing.assert_array_equal(truth[:3], foresight[:3])
    np.testing.assert_array_equal(foresight[3], panels["current, PCA"].reshape(-1, 3)[3])
    assert panels["expected change"].reshape(-1, 3)[3].max() < 10, "no change is expected in the patch that is kept"
    np.testing.assert_array_equal(panels["true future"], watched.frames[21])


def test_moments_are_those_whose_future_was_seen(watched):
    interpreter = Interpreter(watched)
    assert interpreter.moments(4) == [0, 5]
    assert interpreter.moments(1) == [0]
    assert Interpreter(replace(watched, horizon=30)).moments(2) == [0, 20]


def test_figure_and_video_are_written_and_a_moment_without_foresight_is_refused(watched, tmp_path):
    interpreter = Interpreter(watched)
    interpreter.figure(tmp_path / "a.png", interpreter.moments(2))
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with pytest.raises(DialError, match=r"no foresight was made at 0.10 s; there is one every 0.25 s until 1.00 s"):
        interpreter.figure(tmp_path / "b.png", [2])
    interpreter.video(tmp_path / "a.mp4")
    assert len(list(read_video(tmp_path / "a.mp4"))) == 24


def test_errors_are_relative_to_predicting_no_change(watched):
    perfect = {step: watched.tokens[watched.future_of(step)] for step in watched.foresights}
    lazy = {step: watched.tokens[step] for step in watched.foresights}
    assert relative_error([errors(replace(watched, foresights=perfect))])["relative"] == 0.0
    assert relative_error([errors(replace(watched, foresights=lazy))])["relative"] == 1.0
    measured = errors(watched)
    assert measured.progress == pytest.approx([0, 5 / 23, 10 / 23, 15 / 23, 20 / 23])
    row = relative_error([measured, measured])
    assert 0 < row["relative"] < 1
    assert row["foresights"] == 10
    assert row["interval"] is None, "two episodes of one seed say nothing of others"
    row = relative_error([replace(measured, seed=seed) for seed in range(10)])
    assert row["interval"] is None, "ten equal seeds say nothing of others"
    assert relative_error([])["relative"] is None


def test_the_report_separates_tasks_and_parts_of_the_episode(watched, tmp_path):
    protocol = Protocol(episodes=1)
    summary = summarise_quality(protocol, "expert", [errors(watched)])
    assert [row["foresights"] for row in summary["over_episode"]] == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    text = write_quality(tmp_path, summary)
    assert "| PlacematToPlate |" in text
    assert "| episode 10 to 20 % | - |" in text
    assert f"| **all** | {summary['all']['relative']:.3f} | - |" in text
    assert {path.name for path in tmp_path.iterdir()} == {"foresight.json", "foresight.md", "foresight.png"}


def test_a_name_is_heeded_where_the_right_foresight_is_nearer_the_future(watched, tmp_path):
    never = {step: watched.tokens[step] for step in watched.foresights}
    heeds = errors(replace(watched, misnamed=never))
    ignores = errors(replace(watched, misnamed=dict(watched.foresights)))
    assert heeds.misnamed == heeds.no_change
    assert names_heeded([heeds, heeds, ignores, errors(watched)]) == {
        "nearer": 2,
        "scenes": 3,
        "rate": 0.6667,
        "interval": [0.2077, 0.9385],
    }
    assert names_heeded([errors(watched)])["rate"] is None
    text = write_quality(tmp_path, summarise_quality(Protocol(episodes=1), "expert", [heeds, ignores]))
    assert "| 0 to 10 % | 1/2 | 9 to 91 % |" in text
    assert "right name" not in write_quality(tmp_path, summarise_quality(Protocol(episodes=1), "expert", [errors(watched)]))


def test_the_other_name_is_asked_for_where_there_is_one(checkpoint, monkeypatch):
    monkeypatch.setattr(interpretation, "make_arena", short_arena)
    protocol = Protocol(flow_steps=1)
    sessions = open_sessions(str(checkpoint), protocol)
    two = two_object_seeds("PlacematToPlate", 1)[0]
    one = next(seed for seed in range(100_000, 100_100) if not holds_several_objects(protocol.suite, Case("PlacematToPlate", seed)))
    seen = watch(protocol, sessions, "expert", Case("PlacematToPlate", two))
    assert list(seen.misnamed) == list(seen.foresights)
    assert all(not np.array_equal(seen.misnamed[step], own) for step, own in seen.foresights.items())
    assert watch(protocol, sessions, "expert", Case("PlacematToPlate", one)).misnamed == {}


def test_scenes_in_which_no_name_decides_are_left_out_if_asked(checkpoint):
    with pytest.raises(DialError, match=r"no scene of seeds 100000 to 100000 holds several objects to name"):
        measure(
            Protocol(tasks=("PlateToBowl",), episodes=1), PolicySource("checkpoint", str(checkpoint)), "expert", 0, several_objects=True
        )


def test_what_has_no_foresight_is_refused():
    with pytest.raises(DialError, match="'expert' has no foresight"):
        measure(Protocol(policy="expert"), PolicySource("expert"), "expert", 0)
    with pytest.raises(DialError, match=r"choose expert .* or own"):
        measure(Protocol(), PolicySource("checkpoint", "x"), "nobody", 0)


@pytest.mark.parametrize("driver", ["expert", "own"])
def test_an_episode_is_watched_to_its_end(driver, checkpoint, monkeypatch):
    monkeypatch.setattr(interpretation, "make_arena", short_arena)
    protocol = Protocol(flow_steps=1)
    seen = watch(protocol, open_sessions(str(checkpoint), protocol), driver, CASE)
    assert seen.frames.shape == (7, 96, 96, 3)
    assert seen.tokens.shape == (7, 36, 192)
    assert list(seen.foresights) == [0, 5]
    assert not seen.success


def short_arena(suite: str, task: str, camera: str, image_px: int):
    arena = interpretation_arena(suite, task, camera, image_px)
    arena.max_steps = 7
    return arena


interpretation_arena = interpretation.make_arena
