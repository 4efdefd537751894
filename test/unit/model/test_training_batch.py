"""The training batch is described once: its columns are the model's keywords, and a wrong shape is named.

pytest test/unit/model/test_training_batch.py
"""

import inspect

import pytest
import torch

from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.training_batch import TrainingBatch, TrainingSample, require_shapes
from dial_core.training.probe import Workload, chunk_batch


@pytest.fixture
def arch(make_architecture):
    return make_architecture()


@pytest.fixture
def batch(arch):
    return chunk_batch(Workload(arch, samples=2, chunks=3), torch.Generator())


def test_its_columns_are_the_keywords_of_the_models_forward_pass():
    keywords = set(inspect.signature(DialModel.forward).parameters) - {"self"}
    assert set(TrainingBatch.__annotations__) == keywords
    assert set(TrainingSample.__annotations__) < keywords


def test_tokens_and_pixels_of_the_models_sizes_pass(arch, batch):
    require_shapes(batch, arch)
    require_shapes(chunk_batch(Workload(arch, samples=2, chunks=3, pixels=True), torch.Generator()), arch)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("action", torch.zeros(6, 99, 6), r"action has shape \(6, 99, 6\), expected \(C, H, A\) = \(6, "),
        ("goal_tokens", torch.zeros(3, 4, 32), r"goal_tokens has shape \(3, 4, 32\), expected \(B, N, F\) = \(2, 4, 32\)"),
        ("image_tokens", torch.zeros(2, 7, 7, 3, dtype=torch.uint8), "for pixels"),
        ("tau", torch.zeros(5), r"tau has shape \(5,\), expected \(G\) = \(6,\)"),
    ],
)
def test_a_column_of_another_shape_is_named_with_both_shapes(arch, batch, name, wrong, message):
    with pytest.raises(DialError, match=message):
        require_shapes({**batch, name: wrong}, arch)


def test_a_missing_column_is_named(arch, batch):
    del batch["state"]
    with pytest.raises(DialError, match="state missing"):
        require_shapes(batch, arch)


def test_chunks_that_do_not_divide_among_the_foresights_are_refused(arch):
    batch = chunk_batch(Workload(arch, samples=2, chunks=1), torch.Generator())
    longer = chunk_batch(Workload(arch, samples=3, chunks=1), torch.Generator())
    with pytest.raises(DialError, match="3 chunks cannot be divided among 2 foresights"):
        require_shapes({**longer, **{name: batch[name] for name in ("image_tokens", "goal_tokens", "input_ids", "attention_mask")}}, arch)


def test_draws_of_noise_are_a_multiple_of_the_chunks(arch, batch):
    require_shapes(chunk_batch(Workload(arch, samples=2, chunks=3, flow_draws=2), torch.Generator()), arch)
    odd = {"noise": torch.zeros(8, arch.horizon, arch.action_dim), "tau": torch.zeros(8)}
    with pytest.raises(DialError, match="8 draws of noise cannot be divided among 6 chunks"):
        require_shapes({**batch, **odd}, arch)
