"""The real classes with their real configurations, shrunk in width and depth, against transformers' own forward pass.

pytest test/unit/model/test_backbones.py
"""

from collections import Counter
from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLModel,
    Qwen2VLImageProcessor,
    Qwen3VLForConditionalGeneration,
    Qwen3VLModel,
)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRMSNorm

from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.model.backbone import build_backbone
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.fused_layers import FusedRMSNorm
from dial_core.model.pretrained import load_backbone, load_view_encoder

PRESETS = ["qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_2b", "qwen3_vl_4b", "qwen3_vl_8b"]
# Parameters of the hub's checkpoints, less the text heads that are not tied to the embedding (545.0 M in 7B, 622.3 M in 8B).
MILLIONS = {"qwen2_5_vl_3b": 3755, "qwen2_5_vl_7b": 7747, "qwen3_vl_2b": 2128, "qwen3_vl_4b": 4438, "qwen3_vl_8b": 8145}
IMAGE, FIRST_QUERY = 90, 100

every_preset = pytest.mark.parametrize("preset", PRESETS)


def shrunk(preset: str, **changes) -> Architecture:
    """A preset with narrow, shallow towers; image, patches, windows, rotary base and the form of everything as it is."""
    values = load_config(Architecture, "models", preset).model_dump()
    qwen3 = values["backbone"] == "qwen3_vl"
    values["vision"] |= {"layers": 3, "width": 32, "ffn_width": 48, "heads": 2}
    values["vision"] |= {"deepstack_layers": (0, 2)} if qwen3 else {"full_attention_blocks": (1,)}
    values["text"] |= {"vocabulary": 180, "layers": 3, "width": 32, "ffn_width": 48, "heads": 2, "kv_heads": 1}
    values["text"] |= {"rope_sections": (4, 2, 2) if qwen3 else (2, 3, 3), "head_width": 16 if qwen3 else None}
    values["tokens"] = {"pad": 0, "image": IMAGE, "video": 91, "vision_start": 92, "vision_end": 93}
    values["fusion"] |= {"layers": 1, "heads": 2, "head_width": 16}
    values["decoder"] |= {"layers": 2, "heads": 2, "head_width": 8, "output_width": 16, "rim_width": 16, "max_tokens": 16}
    return Architecture.model_validate(values | changes)


def make(preset: str, **changes) -> DialModel:
    torch.manual_seed(0)
    model = DialModel(DialConfig(shrunk(preset, **changes))).eval()
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # zeros of a fresh model would hide mistakes
    return model


def reference(model: DialModel) -> Qwen2_5_VLModel | Qwen3VLModel:
    """transformers' own class with the model's weights, and nothing of ours."""
    config = deepcopy(model.backbone.config)
    config._attn_implementation = "sdpa"
    vlm = (Qwen3VLModel if model.arch.backbone == "qwen3_vl" else Qwen2_5_VLModel)(config).eval()
    vlm.load_state_dict(model.backbone.state_dict())
    return vlm


def views(arch: Architecture) -> torch.Tensor:
    size = (2, arch.image.height, arch.image.width, 3)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def processed(arch: Architecture, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the family's image processor makes of the images."""
    area = arch.image.height * arch.image.width
    plain = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3} if arch.backbone == "qwen3_vl" else {}
    processor = Qwen2VLImageProcessor(
        patch_size=arch.vision.patch_size, merge_size=2, size={"shortest_edge": area, "longest_edge": area}, **plain
    )
    return processor(images=[image.permute(2, 0, 1) for image in images], return_tensors="pt")


def prompts(arch: Architecture) -> tuple[torch.Tensor, torch.Tensor]:
    """Two prompts, the first left-padded by 2."""
    image = [92, *[IMAGE] * arch.foresight_tokens, 93]
    ids = torch.tensor([[0, 0, 5, *image, 6, 7], [8, 5, *image, 9, 10, 11]])
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    return ids, mask


@every_preset
@torch.no_grad()
def test_image_tokens_are_those_of_transformers(preset):
    model = make(preset)
    images, arch = views(model.arch), model.arch
    patches = processed(arch, images)
    expected = reference(model).visual(patches["pixel_values"], patches["image_grid_thw"])
    parts = [expected.pooler_output, *getattr(expected, "deepstack_features", [])]
    features = model.encode_image(images)
    assert features.shape == (2, 64, arch.feature_width)
    torch.testing.assert_close(features, torch.cat([part.view(2, 64, -1) for part in parts], -1), atol=2e-5, rtol=1e-4)


@every_preset
@torch.no_grad()
def test_query_states_are_those_of_transformers_full_forward(preset):
    """The reference gets pixels and ids; its queries are rows of the vocabulary, as in the authors' release."""
    model = make(preset)
    arch, images = model.arch, views(model.arch)
    ids, mask = prompts(arch)
    n = arch.foresight_tokens
    model.backbone.get_input_embeddings().weight[FIRST_QUERY : FIRST_QUERY + n] = model.system2.queries
    whole = torch.cat([ids, torch.arange(FIRST_QUERY, FIRST_QUERY + n).expand(2, -1)], 1)
    expected = reference(model)(
        input_ids=whole,
        attention_mask=F.pad(mask, (0, n), value=1),
        mm_token_type_ids=(whole == IMAGE).int(),
        **processed(arch, images),
    ).last_hidden_state[:, -n:]
    ours = model.system2.query_states(model.encode_image(images), ids, mask)
    torch.testing.assert_close(ours, expected, atol=5e-5, rtol=1e-4)


@every_preset
def test_both_stages_train_on_every_backbone(preset):
    model = make(preset)
    arch = model.arch
    ids, mask = prompts(arch)
    features = model.encode_image(views(arch))
    assert model.condition(features[..., : arch.width], features).shape == (2, 128, 32)
    for stage in ("warmup", "end_to_end"):
        model.set_trainable(stage)
        chunk = torch.randn(2, arch.horizon, arch.action_dim)
        model(stage, features, features.flip(0), ids, mask, torch.randn(2, arch.state_dim), chunk, torch.ones(1)).loss.backward()
        learned = {name for name, p in model.named_parameters() if p.grad is not None}
        assert not any("visual" in name or "embed_tokens" in name for name in learned)
        assert "system2.backbone.language_model.layers.0.self_attn.q_proj.weight" in learned


@every_preset
def test_full_sizes_have_the_published_parameter_counts(preset):
    model = DialModel.without_weights(load_config(Architecture, "models", preset))
    assert round(sum(p.numel() for p in model.backbone.parameters()) / 1e6) == MILLIONS[preset]
    assert model.arch.foresight_tokens == 64


@pytest.mark.parametrize("preset", ["qwen2_5_vl_3b", "qwen3_vl_2b"])
def test_weights_load_from_a_folder_that_transformers_wrote(preset, tmp_path):
    """The hub's checkpoints hold the whole model with its text head."""
    source, model = make(preset), make(preset)
    family = Qwen3VLForConditionalGeneration if "qwen3" in preset else Qwen2_5_VLForConditionalGeneration
    torch.manual_seed(9)
    whole = family(source.backbone.config)
    whole.model.load_state_dict({name: tensor + 1 for name, tensor in source.backbone.state_dict().items()})
    whole.save_pretrained(tmp_path)
    head = model.system2.foresight_head[0].weight.clone()
    load_backbone(model, tmp_path)
    assert all(tensor.equal(source.backbone.state_dict()[name] + 1) for name, tensor in model.backbone.state_dict().items())
    assert torch.equal(model.system2.foresight_head[0].weight, head)


def test_weights_of_other_sizes_or_settings_are_refused_with_the_difference(tmp_path):
    model = make("qwen2_5_vl_3b")
    model.backbone.save_pretrained(tmp_path / "same")
    deeper = model.arch.text.model_copy(update={"layers": 4})
    with pytest.raises(DialError, match=r"language_model\.layers\.3\..* is .*, must be"):
        load_backbone(DialModel(DialConfig(model.arch.model_copy(update={"text": deeper}))), tmp_path / "same")
    slower = model.arch.text.model_copy(update={"rope_theta": 100.0})
    with pytest.raises(DialError, match=r"rope_parameters is .*1000000.*, must be .*100\.0"):
        load_backbone(DialModel(DialConfig(model.arch.model_copy(update={"text": slower}))), tmp_path / "same")
    with pytest.raises(DialError, match="no weights for backbone 'qwen2_5_vl' at"):
        load_backbone(model, tmp_path / "nowhere")


def test_dino_weights_load_into_the_bridge_that_has_them_and_no_other(tmp_path):
    encoder = {"layers": 1, "width": 24, "heads": 2, "patch_size": 14, "pretrained_size": 56}
    model = make("qwen2_5_vl_3b", bridge="dino", view_encoder=encoder)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, patch_size=14, image_size=56)
    tower = Dinov2Model(config)
    tower.save_pretrained(tmp_path)
    load_view_encoder(model, tmp_path)
    assert all(tensor.equal(tower.state_dict()[name]) for name, tensor in model.view_encoder.tower.state_dict().items())
    assert not any(p.requires_grad for p in model.view_encoder.parameters())
    with pytest.raises(DialError, match="bridge 'dial' has no view encoder"):
        load_view_encoder(make("qwen2_5_vl_3b"), tmp_path)


@every_preset
def test_fused_layers_give_the_gradients_of_transformers(preset):
    model = make(preset)
    theirs, ours = reference(model).language_model, model.backbone.language_model
    torch.manual_seed(2)
    x, weights = torch.randn(2, 7, 32), torch.randn(2, 7, 32)
    positions = torch.arange(7).expand(3, 2, 7) * torch.tensor([1, 2, 3])[:, None, None]
    gradients = []
    for language in (theirs, ours):
        mine = x.clone().requires_grad_()
        out = language(inputs_embeds=mine, attention_mask=None, position_ids=positions, use_cache=False)
        (out.last_hidden_state * weights).sum().backward()
        gradients.append({"x": mine.grad} | {name: parameter.grad for name, parameter in language.named_parameters()})
    assert gradients[1].pop("embed_tokens.weight") is gradients[0].pop("embed_tokens.weight") is None
    assert len(gradients[0]) > 30
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=2e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("preset", ["qwen2_5_vl_3b", "qwen3_vl_2b"])
@torch.no_grad()
def test_fused_layers_in_bfloat16_are_as_near_to_float32_as_those_of_transformers(preset):
    model = make(preset)
    plain = reference(model)
    x, positions = torch.randn(2, 32, 32, generator=torch.Generator().manual_seed(3)), torch.arange(32).expand(3, 2, 32)

    def states(language, dtype) -> torch.Tensor:
        keywords = {"attention_mask": None, "position_ids": positions, "use_cache": False}
        return language.to(dtype)(inputs_embeds=x.to(dtype), **keywords).last_hidden_state.float()

    exact = states(plain.language_model, torch.float32)
    theirs, ours = ((states(vlm.language_model, torch.bfloat16) - exact).square().mean().sqrt() for vlm in (plain, model.backbone))
    assert 0 < ours < 1.05 * theirs


@pytest.mark.parametrize("name", ["qwen2_5_vl_3b", "qwen3_vl_2b"])
def test_every_norm_and_every_attention_of_the_language_model_is_fused(name):
    with torch.device("meta"):
        backbone = build_backbone(DialConfig.from_preset(name).arch)
    kinds = Counter(type(module).__name__ for module in backbone.modules() if not type(module).__module__.startswith("torch"))
    layers = len(backbone.language_model.layers)
    assert kinds["FusedRMSNorm"] > 2 * layers
    assert kinds["FusedQwen25Attention"] + kinds["FusedQwen3Attention"] == layers
    assert not [kind for kind in kinds if "RMSNorm" in kind and kind != "FusedRMSNorm"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fused_norm_is_that_of_transformers(dtype):
    theirs, ours = Qwen2_5_VLRMSNorm(32), Qwen2_5_VLRMSNorm(32)
    ours.__class__ = FusedRMSNorm
    x, weight = torch.randn(3, 7, 32).to(dtype), torch.randn(32)
    for norm in (theirs, ours):
        norm.weight.data.copy_(weight)
    torch.testing.assert_close(ours(x), theirs.to(dtype)(x))
