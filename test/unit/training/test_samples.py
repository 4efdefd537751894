import numpy as np
import pytest

from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training.samples import Augmentation, ChunkSamples, Recording

HORIZON = 16


@pytest.fixture
def recording() -> Recording:
    """Two episodes of 30 and 20 frames; the tokens and the actions of frame t hold the number t."""
    rows = np.arange(50)
    tokens = np.broadcast_to(rows[:, None, None], (50, 36, 4)).astype(np.float16)
    vectors = np.broadcast_to(rows[:, None], (50, 47)).astype(np.float32)
    first, last = np.where(rows < 30, 0, 30), np.where(rows < 30, 29, 49)
    return Recording(tokens, vectors, vectors, first, last, (rows >= 30).astype(int), ["put the can", "put the cup"])


def samples(recording: Recording, chunks: int, age: int, noise: float = 0.0) -> ChunkSamples:
    prompter = Prompter(tiny_tokenizer(), 36)
    augmentation = Augmentation(chunks, age, noise)
    return ChunkSamples(recording, Normaliser.identity(47), prompter, "warmup", HORIZON, augmentation, seed=0)


def test_goal_and_chunk_stay_in_the_episode_and_the_last_action_is_repeated(recording):
    batch = samples(recording, chunks=1, age=0).__getitems__([0, 20, 45])
    assert batch["image_tokens"][:, 0, 0].tolist() == [0, 20, 45]
    assert batch["goal_tokens"][:, 0, 0].tolist() == [16, 29, 49]
    assert batch["action"][1, :, 0].tolist() == [*range(20, 30), *[29] * 6]
    assert batch["action"].shape == (3, HORIZON, 47)


def test_one_foresight_serves_chunks_up_to_its_greatest_age(recording):
    batch = samples(recording, chunks=3, age=5).__getitems__([10, 28] * 10)
    seen = batch["image_tokens"][:, 0, 0].repeat_interleave(3)
    age = batch["system1_image_tokens"][:, 0, 0] - seen
    assert set(age[seen == 10].tolist()) <= set(range(6))
    assert len(set(age[seen == 10].tolist())) > 2
    assert batch["system1_image_tokens"][:, 0, 0].max() == 29
    assert (batch["action"][:, 0, 0] == batch["system1_image_tokens"][:, 0, 0]).all()
    assert batch["goal_tokens"][0, 0, 0] == 26


def test_every_frame_has_its_own_episodes_prompt(recording):
    data = samples(recording, chunks=1, age=0)
    batch = data.__getitems__([0, 49])
    assert batch["input_ids"][0].tolist() == data.input_ids[0].tolist()
    assert batch["input_ids"][1].tolist() == data.input_ids[1].tolist()


def test_noise_touches_the_state_only(recording):
    clean, noisy = samples(recording, 1, 0), samples(recording, 1, 0, noise=0.1)
    first, second = clean.__getitems__([3]), noisy.__getitems__([3])
    assert 0.0 < (first["state"] - second["state"]).abs().max() < 1.0
    assert (first["action"] == second["action"]).all()
