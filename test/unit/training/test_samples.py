from dataclasses import replace

import numpy as np
import pytest
import torch

from dial_core.config import load_config
from dial_core.datasets.normalisation import fit_normaliser
from dial_core.model.configuration import Architecture
from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training.samples import ChunkSamples, Variety, join_samples
from dial_core.training.streams import CachedTokens, SourceVectors, Stream

HORIZON = 16


def numbered_stream(name: str = "robot", width: int = 47, slot: int = 0, offset: int = 0, sure=None) -> Stream:
    """Two episodes of 30 and 20 frames; the tokens and the vectors of frame t hold the number offset + t."""
    rows = np.arange(50)
    tokens = np.broadcast_to((offset + rows)[:, None, None], (50, 36, 4)).astype(np.float16)
    numbers = np.broadcast_to((offset + rows)[:, None], (50, width)).astype(np.float32)
    vectors = SourceVectors(numbers, numbers, Normaliser.identity(width), 47, 47, sure)
    return Stream(name, CachedTokens(tokens), vectors, np.array([0, 30]), np.array([0, 1]), ["put the can", "put the cup"], slot)


def make_samples(streams, weights=None, chunks: int = 1, age: int = 0, noise: float = 0.0, seed: int = 0) -> ChunkSamples:
    arch = load_config(Architecture, "models", "dial_tiny")
    prompter = Prompter(tiny_tokenizer(), 36)
    weights = weights or {stream.name: 1.0 for stream in streams}
    return ChunkSamples(streams, weights, prompter, "warmup", arch, Variety(chunks, age, noise), seed)


def at(samples: ChunkSamples, *rows: int) -> dict:
    """The batch of frames `rows` of the first stream."""
    return join_samples([samples.sample(0, row, np.random.default_rng(row)) for row in rows])


def test_goal_and_chunk_stay_in_the_episode_and_the_last_action_is_repeated():
    batch = at(make_samples([numbered_stream()]), 0, 20, 45)
    assert batch["image_tokens"][:, 0, 0].tolist() == [0, 20, 45]
    assert batch["goal_tokens"][:, 0, 0].tolist() == [16, 29, 49]
    assert batch["action"][1, :, 0].tolist() == [*range(20, 30), *[29] * 6]
    assert batch["action"].shape == batch["noise"].shape == (3, HORIZON, 47)
    assert "system1_image_tokens" not in batch


def test_one_foresight_serves_chunks_up_to_its_greatest_age():
    samples = make_samples([numbered_stream()], chunks=3, age=5)
    batch = join_samples([samples.sample(0, row, np.random.default_rng(i)) for i, row in enumerate([10, 28] * 10)])
    seen = batch["image_tokens"][:, 0, 0].repeat_interleave(3)
    age = batch["system1_image_tokens"][:, 0, 0] - seen
    assert set(age[seen == 10].tolist()) <= set(range(6))
    assert len(set(age[seen == 10].tolist())) > 2
    assert batch["system1_image_tokens"][:, 0, 0].max() == 29
    assert (batch["action"][:, 0, 0] == batch["system1_image_tokens"][:, 0, 0]).all()
    assert batch["goal_tokens"][0, 0, 0] == 26


def test_every_frame_has_its_own_episodes_prompt():
    samples = make_samples([numbered_stream("a"), numbered_stream("b")])
    batch = at(samples, 0, 49)
    ids, mask = Prompter(tiny_tokenizer(), 36).encode(["put the can", "put the cup"])
    assert torch.equal(batch["input_ids"], ids)
    assert torch.equal(batch["attention_mask"], mask)
    assert torch.equal(samples.sample(1, 49, np.random.default_rng(0))["input_ids"], ids[1:])


def test_prompts_of_different_lengths_are_padded_on_the_left():
    stream = replace(numbered_stream(), instructions=["put the can on the plate", "put the cup"])
    batch = at(make_samples([stream]), 0, 49)
    assert batch["attention_mask"].sum(1).tolist() == [batch["input_ids"].shape[1], batch["input_ids"].shape[1] - 3]
    assert batch["attention_mask"][1, :4].tolist() == [0, 0, 0, 1]


def test_vectors_are_normalised_as_they_are_drawn():
    values = np.random.default_rng(0).normal(0, 3, (50, 47)).astype(np.float32)
    normaliser = fit_normaliser([values], [values + 1], state_encoding="sin_cos")
    vectors = SourceVectors(values, values + 1, normaliser, 80, 50)
    batch = at(make_samples([replace(numbered_stream(), vectors=vectors)]), 7)
    np.testing.assert_array_equal(batch["state"][0, :76], normaliser.encode_state(values)[7])
    np.testing.assert_array_equal(batch["action"][0, :, :47], normaliser.encode_action(values + 1)[7:23])
    assert batch["state"].shape == (1, 80)
    assert batch["action_mask"][0, 0].tolist() == [1] * 47 + [0] * 3


def test_noise_touches_the_state_only_and_only_where_the_embodiment_has_one():
    clean, noisy = make_samples([numbered_stream(width=18)]), make_samples([numbered_stream(width=18)], noise=0.1)
    first, second = at(clean, 3), at(noisy, 3)
    assert 0.0 < (first["state"] - second["state"])[:, :18].abs().max() < 1.0
    assert (second["state"][:, 18:] == 0).all()
    assert (first["action"] == second["action"]).all()


def test_a_sample_is_a_function_of_its_number_alone():
    one, other = (
        make_samples([numbered_stream()], chunks=2, age=3, noise=0.1),
        make_samples([numbered_stream()], chunks=2, age=3, noise=0.1),
    )
    other[7], other[3]
    torch.rand(5)
    for name, value in one[1234].items():
        assert torch.equal(value, other[1234][name]) if isinstance(value, torch.Tensor) else value == other[1234][name]
    assert not torch.equal(one[1]["noise"], one[2]["noise"])


def test_embodiments_mix_in_one_batch_with_their_slots_and_masks():
    streams = [numbered_stream("robot"), numbered_stream("human", width=18, slot=1, offset=100)]
    samples = make_samples(streams, {"robot": 3, "human": 1}, chunks=2)
    batch = join_samples([samples[number] for number in range(200)])
    human = batch["image_tokens"][:, 0, 0] >= 100
    assert human.sum() == pytest.approx(50, abs=15)
    rows = human.repeat_interleave(2)
    assert (batch["embodiment_id"] == rows.long()).all()
    assert (batch["action_mask"][rows].sum(-1) == 18).all()
    assert (batch["action_mask"][~rows].sum(-1) == 47).all()
    assert (batch["action"][rows][..., 18:] == 0).all()


def test_a_batch_of_one_embodiment_keeps_the_faster_single_slot():
    assert at(make_samples([numbered_stream(slot=3)]), 0, 1)["embodiment_id"] == 3


def test_a_frame_that_was_not_seen_surely_does_not_count_in_any_chunk_that_reaches_it():
    sure = np.ones((50, 18), np.float32)
    sure[12, 9:18] = 0.0
    stream = numbered_stream(width=18, sure=sure)
    mask = at(make_samples([stream]), 10)["action_mask"]
    assert mask.shape == (1, HORIZON, 47)
    assert mask[0, :, 9].tolist() == [1, 1, 0, *[1] * 13]
    assert mask[0, :, 0].tolist() == [1] * HORIZON
    assert mask[..., 18:].sum() == 0


def test_the_flow_is_drawn_as_often_as_asked_and_one_draw_is_what_it_always_was():
    arch = load_config(Architecture, "models", "dial_tiny")
    stream, prompter = numbered_stream(), Prompter(tiny_tokenizer(), 36)
    once, often = (ChunkSamples([stream], {"robot": 1.0}, prompter, "warmup", arch, Variety(2, 3, 0.1, draws), 0)[7] for draws in (1, 4))
    assert often["noise"].shape == (8, HORIZON, 47)
    assert often["tau"].shape == (8,)
    assert len(set(often["tau"].tolist())) == 8
    assert torch.equal(often["state"], once["state"])
    assert torch.equal(often["noise"][:2], once["noise"])
