"""Beginnings of episodes: which rows they are, and how often they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.training.early_steps import Beginnings, EpisodeBeginnings, require_beginnings
from dial_core.training.mixture import Mixture
from dial_core.training.recipe import Recipe
from dial_core.training.samples import ChunkSamples, Variety
from dial_core.training.streams import Stream, lists_several

from .test_samples import make_samples, numbered_stream


def stream(several: list[bool] | None = None, name: str = "robot") -> Stream:
    """Episodes of 30 and 20 frames, whose scenes have several objects or not."""
    return replace(numbered_stream(name), several_objects=None if several is None else np.array(several))


def rows(of: Stream, wanted: Beginnings) -> list[int]:
    part = EpisodeBeginnings(of, wanted)
    return [part.row(number) for number in range(len(part))]


def test_they_are_the_first_rows_of_every_episode_or_of_those_with_several_objects():
    assert rows(stream(), Beginnings(share=0.5, steps=3)) == [0, 1, 2, 30, 31, 32]
    assert rows(stream([False, True]), Beginnings(share=0.5, steps=3, several_objects=True)) == [30, 31, 32]
    assert rows(stream(), Beginnings(share=0.5, steps=3, several_objects=True)) == []


def test_of_a_short_episode_the_last_row_comes_again_and_none_of_the_next():
    part = EpisodeBeginnings(stream(), Beginnings(share=0.5, steps=25))
    assert [part.row(number) for number in (24, 25, 44, 45, 49)] == [24, 30, 49, 49, 49]


def drawn(samples: ChunkSamples, monkeypatch, count: int = 2000) -> list[tuple[int, int]]:
    monkeypatch.setattr(samples, "sample", lambda source, row, rng: (source, row))
    return [samples[number] for number in range(count)]


def with_beginnings(streams, wanted, weights) -> ChunkSamples:
    plain = make_samples(streams, weights)
    prompter = type("NoPrompter", (), {"encode": None})
    return ChunkSamples(streams, weights, prompter, "warmup", plain.arch, Variety(), 0, wanted)


def test_the_share_of_the_samples_comes_from_them_and_the_other_source_keeps_its_own(monkeypatch):
    streams, weights = [stream([False, True]), stream(name="human")], {"robot": 3.0, "human": 1.0}
    found = drawn(with_beginnings(streams, Beginnings(share=0.5, steps=4, several_objects=True), weights), monkeypatch)
    robot = [row for source, row in found if source == 0]
    assert len(robot) == pytest.approx(1500, abs=4)
    at_beginning = [row for row in robot if 30 <= row < 34]
    assert len(at_beginning) == pytest.approx(750 + 750 * 4 / 50, abs=20)
    assert {row for source, row in found if source == 1} == set(range(50)), "all frames of people"
    assert set(robot) == set(range(50))


def test_without_them_rows_are_drawn_evenly(monkeypatch):
    streams, weights = [stream([False, True])], {"robot": 1.0}
    evenly = Mixture({"robot": 50}, weights, 0)
    assert drawn(with_beginnings(streams, None, weights), monkeypatch, 50) == [evenly.draw(number) for number in range(50)]


def test_a_source_that_nothing_is_drawn_from_has_none():
    streams, wanted = [stream(), stream([True, True], "other")], Beginnings(share=0.5, steps=4, several_objects=True)
    with pytest.raises(DialError, match="no episode of robot lists several objects"):
        with_beginnings(streams, wanted, {"robot": 1.0, "other": 0.0})


def test_a_stage_is_checked_before_any_is_trained():
    wanted = Beginnings(share=0.5, steps=4, several_objects=True)
    require_beginnings(wanted, {"robot": [{}, {"objects": ["can", "cup"]}], "human": []})
    require_beginnings(Beginnings(share=0.5, steps=4), {"robot": [{}]})
    require_beginnings(None, {"robot": [{}]})
    with pytest.raises(DialError, match="no episode of robot, human lists several objects"):
        require_beginnings(wanted, {"robot": [{"objects": ["can"]}], "human": [{}]})


def test_a_dataset_that_knows_no_objects_is_refused_with_what_to_do():
    with pytest.raises(DialError, match=r"no episode of robot lists several objects .* leave `several_objects` out"):
        with_beginnings([stream()], Beginnings(share=0.5, steps=4, several_objects=True), {"robot": 1.0})


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_leaves_something_for_the_rest(share):
    with pytest.raises(ValidationError):
        Beginnings(share=share, steps=4)


@pytest.mark.parametrize("objects", [["can", "cup"], ["can"], 2, None])
def test_facts_show_whether_a_scene_has_several_objects(objects):
    assert lists_several({"objects": objects}) is (objects == ["can", "cup"])
    assert not lists_several({})


def test_the_miniature_draws_them_in_both_stages():
    stages = load_config(Recipe, "training", "miniature").effective_stages()
    assert [stage.beginnings.several_objects for stage in stages] == [True, True]
