"""Image tokens of a stream are the model's, whatever the batch and however they are computed.

pytest test/unit/training/test_image_encoding.py
"""

import numpy as np
import pytest
import torch

from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.training import image_encoding
from dial_core.training.image_encoding import ImageEncoder, encoding_device

from .test_processes import narrow_architecture

HALF = 2.0**-11  # relative rounding of float16


@pytest.fixture(scope="module")
def model() -> DialModel:
    torch.manual_seed(0)
    return DialModel(DialConfig(narrow_architecture())).eval()


def images(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8))


def tokens(encoder: ImageEncoder, count: int) -> np.ndarray:
    return np.concatenate(list(encoder(iter(images(count)))))


@pytest.mark.parametrize("batch", [1, 4, 8])
def test_tokens_are_those_of_the_model_in_order_whatever_the_batch(model, monkeypatch, batch):
    monkeypatch.setattr(image_encoding, "_BATCH_CPU", batch)
    found = tokens(ImageEncoder(model, compiled=False), 10)
    assert found.dtype == np.float16
    assert len(found) == 10
    expected = model.encode_image(torch.from_numpy(np.stack(images(10)))).numpy()
    np.testing.assert_allclose(found, expected, rtol=2 * HALF, atol=1e-5)


@pytest.mark.parametrize(
    ("free_gb", "sharing", "device"),
    [(None, 1, "cpu"), (40, 1, "cuda"), (40, 8, "cuda"), (40, 64, "cpu"), (1, 1, "cpu")],
    ids=["no GPU", "alone", "shared", "by too many", "occupied"],
)
def test_a_gpu_encodes_if_it_has_room_for_all_who_share_it(model, monkeypatch, free_gb, sharing, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: free_gb is not None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free_gb * 2**30, 40 * 2**30))
    assert encoding_device(model, sharing).type == device


def test_without_a_compiler_the_model_itself_encodes(model, monkeypatch):
    monkeypatch.setattr(image_encoding, "compiler_found", lambda: False)
    monkeypatch.setattr(ImageEncoder, "_compile", lambda self: pytest.fail("compiled without a compiler"))
    assert len(tokens(ImageEncoder(model, compiled=True), 3)) == 3


@pytest.mark.slow  # a minute of compiling if nothing is cached
def test_the_compiled_tower_differs_by_rounding_only(model):
    plain, compiled = (tokens(ImageEncoder(model, compiled), 10) for compiled in (False, True))
    np.testing.assert_allclose(compiled, plain, rtol=2 * HALF, atol=1e-5)
