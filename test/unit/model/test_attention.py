"""Attention written out for training on a CPU is the fused kernel's, and stays in float32 under bfloat16 autocast.

pytest test/unit/model/test_attention.py
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from dial_core.model.attention import Attention, attend, rotated, signed
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.fused_layers import ATTENTION

RELEASE = Path(__file__).parents[2] / "data/dial_release_case_a.safetensors"  # made by the authors' release; holds its configuration


def inputs(heads: int = 4, shared: int = 4, length: int = 5, keys: int = 7) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, heads, length, 8), (2, shared, keys, 8), (2, shared, keys, 8)]
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("shared", [4, 2, 1])
@pytest.mark.parametrize("masking", ["none", "causal", "mask"])
def test_training_on_a_cpu_gives_the_fused_kernels_values_and_gradients(shared, masking):
    q, k, v = inputs(shared=shared, length=7)
    mask = torch.rand(2, 1, 7, 7, generator=torch.Generator().manual_seed(1)) < 0.7
    mask[..., 0] = True
    kept = {"none": None, "causal": None, "mask": mask}[masking]
    ours = attend(q, k, v, kept, causal=masking == "causal")
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=kept, is_causal=masking == "causal", enable_gqa=True)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(*(torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(attend(q, k, v, kept, causal=masking == "causal"), theirs)


def test_attention_is_kept_out_of_bfloat16_on_a_cpu():
    q, k, v = (tensor.bfloat16() for tensor in inputs())
    with torch.autocast("cpu", torch.bfloat16):
        out = attend(q, k, v)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, attend(q.float(), k.float(), v.float()).bfloat16())


def test_the_language_model_attends_by_the_same_rule():
    model = DialModel.from_preset("dial_tiny")
    assert model.backbone.language_model.config._attn_implementation == ATTENTION
    assert model.backbone.visual.config._attn_implementation == ATTENTION


def both_rotations(dtype: torch.dtype) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Value and gradient, ours and transformers', of numbers that bfloat16 holds."""
    generator = torch.Generator().manual_seed(0)
    x_BTKE, weights = (torch.randn(2, 5, 3, 16, generator=generator).bfloat16().to(dtype) for _ in range(2))
    angles = torch.randn(2, 5, 8, generator=generator).repeat(1, 1, 2)
    cos, sin = (table.bfloat16().to(dtype) for table in (angles.cos(), angles.sin()))
    x_BTKE.requires_grad_()
    theirs = apply_rotary_pos_emb(x_BTKE, x_BTKE, cos, sin, unsqueeze_dim=2)[0]
    ours = rotated(x_BTKE, cos.unsqueeze(2), signed(sin).unsqueeze(2))
    return [(out, torch.autograd.grad((out * weights).sum(), x_BTKE)[0]) for out in (ours, theirs)]


def test_rotation_is_that_of_transformers_values_and_gradients():
    for ours, theirs in zip(*both_rotations(torch.float32), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_rotation_in_bfloat16_rounds_no_more_than_that_of_transformers():
    exact = both_rotations(torch.float64)[0]
    for ours, theirs, value in zip(*both_rotations(torch.bfloat16), exact, strict=True):
        off, their_off = ((x - value).square().mean().sqrt() for x in (ours, theirs))
        assert 0 < off <= their_off


def test_rotation_keeps_float32_angles_under_autocast():
    x = torch.randn(2, 5, 3, 16).bfloat16()
    angles = torch.randn(2, 5, 1, 16)
    with torch.autocast("cpu", torch.bfloat16):
        out = rotated(x, angles.cos(), signed(angles.sin()))
    torch.testing.assert_close(out, rotated(x.float(), angles.cos(), signed(angles.sin())), atol=0, rtol=0)


def test_rotation_launches_three_operations():
    x, cos, sin = torch.randn(2, 5, 3, 16), torch.randn(2, 5, 1, 16), torch.randn(2, 5, 1, 16)
    with _Operations() as launched:
        rotated(x, cos, sin)
    assert launched.names == ["mul.Tensor", "roll.default", "addcmul.default"]


class _Operations(TorchDispatchMode):
    """Names of the operations that are not views."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not func.is_view:
            self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("twice", "dropped"), [(False, 0.2), (True, 0.36)])
def test_the_releases_blocks_drop_the_output_of_attention_twice(twice, dropped):
    torch.manual_seed(0)
    attention = Attention(64, 4, 16, 0.2, drops_twice=twice).train()
    outputs = attention(torch.randn(64, 16, 64))
    assert (outputs == 0).float().mean().item() == pytest.approx(dropped, abs=0.01)


@pytest.mark.parametrize(("ours", "theirs"), [("fusion", "vl_self_attention_cfg"), ("decoder", "diffusion_model_cfg")])
def test_the_preset_released_drops_as_the_release_does(ours, theirs):
    with safe_open(RELEASE, "pt") as file:
        stack = json.loads(file.metadata()["config"])["head"][theirs]
    assert stack["final_dropout"]  # the release's blocks then drop once more than diffusers' attention in them
    for name, twice in (("released", True), ("paper", False)):
        built = getattr(DialModel.without_weights(DialConfig.from_preset(name).arch).system1, ours)
        dropouts = [[part.p for part in block.attention.dropout] for block in built.blocks]
        assert dropouts == [[stack["dropout"]] * (2 if twice else 1)] * len(built.blocks), name
