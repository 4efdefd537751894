"""Models and inputs small enough that every test takes well under a second."""

from dataclasses import dataclass

import pytest
import torch

from dial_core.config import load_config
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel


@dataclass
class Batch:
    """Inputs of a training step for two samples; the second prompt is left-padded."""

    image_tokens: torch.Tensor
    goal_tokens: torch.Tensor
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    state: torch.Tensor
    action: torch.Tensor
    action_mask: torch.Tensor


def small_architecture(**changes) -> Architecture:
    """dial_tiny with 32 px images (N = 4), narrow towers and two layers each, and the queries where the release has them."""
    values = load_config(Architecture, "models", "dial_tiny").model_dump()
    values["image"] = {"height": 32, "width": 32}
    values["vision"] |= {"layers": 2, "width": 32, "ffn_width": 48, "heads": 2, "full_attention_blocks": (0, 1)}
    values["text"] |= {"layers": 2, "width": 32, "ffn_width": 48, "heads": 2, "kv_heads": 1, "rope_sections": (2, 3, 3)}
    values["fusion"] |= {"layers": 1, "heads": 2, "head_width": 16}
    values["decoder"] |= {"layers": 4, "heads": 2, "head_width": 12, "output_width": 16, "rim_width": 20}
    values |= {
        "query_positions": "text",
        "horizon": 5,
        "state_dim": 7,
        "action_dim": 6,
        "embodiments": ("first", "second"),
        "decoder": values["decoder"],
    }
    return Architecture.model_validate(values | changes)


@pytest.fixture
def make_architecture():
    """`small_architecture`, for tests that change a value."""
    return small_architecture


@pytest.fixture
def small_model() -> DialModel:
    """The small architecture with weights of seed 0."""
    torch.manual_seed(0)
    return DialModel(DialConfig(small_architecture()))


@pytest.fixture
def batch(small_model) -> Batch:
    """Random inputs that fit `small_model`."""
    generator = torch.Generator().manual_seed(1)
    image = small_model.arch.tokens.image
    ids = torch.tensor([[2, 104, 4, image, image, image, image, 5, 120, 121, 122], [0, 0, 0, 2, 4, image, image, image, image, 5, 130]])
    return Batch(
        image_tokens=torch.randn(2, 4, 32, generator=generator),
        goal_tokens=torch.randn(2, 4, 32, generator=generator),
        input_ids=ids,
        attention_mask=(ids != 0).long(),
        state=torch.randn(2, 7, generator=generator),
        action=torch.randn(2, 5, 6, generator=generator),
        action_mask=torch.ones(2, 5, 6),
    )
