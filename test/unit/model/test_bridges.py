"""The controlled variants: what the action decoder can see, and what learns from which loss (docs/variants.md).

pytest test/unit/model/test_bridges.py
"""

from dataclasses import asdict, replace

import pytest
import torch
from pydantic import ValidationError

from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.model.bridges import BRIDGES, padded_words, present_rows
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.training.probe import Workload, chunk_batch

DINO = {"layers": 1, "width": 24, "heads": 2, "patch_size": 8, "pretrained_size": 32}
# What a change in one input does to the actions: words reach them over what the bridge shows, or over the foresight.
SEES_VIEW = {"dial", "dino", "seer_ev"}
SEES_WORDS = {"frozen", "finetuned", "flare", "seer", "seer_ev"}
SEES_FORESIGHT = {"dial", "dino", "seer", "seer_ev"}
PREDICTS = set(BRIDGES) - {"frozen", "finetuned"}
PARTS = {
    "vision": "system2.backbone.visual.",
    "embedding": "system2.backbone.language_model.embed_tokens.",
    "language": "system2.backbone.language_model.layers.",
    "queries": "system2.queries",
    "head": "system2.foresight_head.",
    "system1": "system1.",
    "dino": "view_encoder.",
}
ACTION_LEARNERS = {  # end to end, in addition to System-1
    "dial": {"language", "queries", "head"},
    "dino": {"language", "queries", "head"},
    "frozen": set(),
    "finetuned": {"language"},
    "flare": {"language"},
    "seer": {"language", "queries", "head"},
    "seer_ev": {"language", "queries", "head"},
}

every_bridge = pytest.mark.parametrize("bridge", BRIDGES)


@pytest.fixture
def make_model(make_architecture):
    """The small model of a bridge, its foresight scaled up so that it has an effect."""

    def make(bridge: str) -> DialModel:
        torch.manual_seed(0)
        extra = {"view_encoder": DINO} if bridge == "dino" else {}
        return DialModel(DialConfig(make_architecture(bridge=bridge, prompt_tokens=16, **extra)))

    return make


def fitted(model, batch):
    """The batch with as wide image features as the model has."""
    extra = torch.randn(2, 4, model.arch.feature_width - 32, generator=torch.Generator().manual_seed(2))
    widened = {name: torch.cat([getattr(batch, name), extra], -1) for name in ("image_tokens", "goal_tokens")}
    return replace(batch, **widened)


def actions(model, batch, intent=None, view=None):
    """Chunks of fixed noise from System-2's intent, or a given one."""
    intent = model.foresight(batch.image_tokens, batch.input_ids, batch.attention_mask) if intent is None else intent
    fused = model.condition(intent, batch.image_tokens if view is None else view)
    return model.sample_chunk(fused, batch.state, torch.full((2, 5, 6), 0.3))


def step(model, batch, stage):
    return model(stage=stage, **asdict(batch), noise=torch.full((2, 5, 6), 0.3), tau=torch.tensor([0.2, 0.7]))


def touched(model, loss) -> set[str]:
    """The parts that the gradient of a loss reaches."""
    model.zero_grad()
    loss.backward(retain_graph=True)
    reached = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]
    return {part for part, prefix in PARTS.items() if any(name.startswith(prefix) for name in reached)}


@every_bridge
@torch.no_grad()
def test_only_what_the_bridge_shows_can_change_the_actions(make_model, batch, bridge):
    model = make_model(bridge).eval()
    batch = fitted(model, batch)
    rules, n = model.arch.bridge_rules, model.arch.foresight_tokens
    intent = model.foresight(batch.image_tokens, batch.input_ids, batch.attention_mask)
    assert intent.shape[1:] == model.arch.intent_shape
    base = actions(model, batch, intent)

    def changed(**what) -> bool:
        return not torch.equal(base, actions(model, batch, **{"intent": intent, **what}))

    assert changed(view=batch.image_tokens + 1) == (bridge in SEES_VIEW)
    assert rules.shows_foresight == (bridge in SEES_FORESIGHT)
    assert rules.shows_words == (bridge in SEES_WORDS)
    if bridge in SEES_FORESIGHT:
        other = intent.clone()
        other[:, -n:] += 1
        assert changed(intent=other)
    if bridge in SEES_WORDS:
        other = intent.clone()
        other[:, 15] += 1  # the last word
        assert changed(intent=other)


@every_bridge
@torch.no_grad()
def test_the_queries_reach_the_actions_only_through_a_foresight_that_is_shown(make_model, batch, bridge):
    model = make_model(bridge).eval()
    batch = fitted(model, batch)
    base = actions(model, batch)
    assert (model.system2.queries is not None) == (bridge in PREDICTS)
    if bridge in PREDICTS:
        model.system2.queries += 1
        assert torch.equal(base, actions(model, batch)) == (bridge == "flare")


@every_bridge
@torch.no_grad()
def test_padding_rows_of_the_intent_change_nothing(make_model, batch, bridge):
    """Sample 1 is left-padded: alone, without padding, it gives the same chunk."""
    model = make_model(bridge).eval()
    batch = fitted(model, batch)
    together = actions(model, batch)[1]
    intent = model.foresight(batch.image_tokens[1:], batch.input_ids[1:, 3:], batch.attention_mask[1:, 3:])
    fused = model.condition(intent, batch.image_tokens[1:])
    alone = model.sample_chunk(fused, batch.state[1:], torch.full((1, 5, 6), 0.3))[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@every_bridge
def test_end_to_end_every_loss_teaches_what_the_table_says(make_model, batch, bridge):
    model = make_model(bridge)
    model.set_trainable("end_to_end")
    out = step(model, fitted(model, batch), "end_to_end")
    assert touched(model, out.action_loss) == {"system1"} | ACTION_LEARNERS[bridge]
    if bridge in PREDICTS:
        assert touched(model, out.world_loss) == {"language", "queries", "head"}
        torch.testing.assert_close(out.loss, out.world_loss + out.action_loss)
    else:
        assert out.world_loss is None
        assert torch.equal(out.loss, out.action_loss)


@every_bridge
def test_in_warmup_the_action_loss_teaches_system1_alone(make_model, batch, bridge):
    model = make_model(bridge)
    model.set_trainable("warmup")
    out = step(model, fitted(model, batch), "warmup")
    assert touched(model, out.action_loss) == {"system1"}
    if bridge in PREDICTS:
        assert touched(model, out.world_loss) == {"language", "queries", "head"}


@every_bridge
@pytest.mark.parametrize("stage", ["warmup", "end_to_end"])
def test_a_training_step_moves_what_may_learn_and_nothing_else(make_model, batch, bridge, stage):
    model = make_model(bridge)
    model.set_trainable(stage)
    model.train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    step(model, fitted(model, batch), stage).loss.backward()
    waiting = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not waiting, "data-parallel training would wait for these gradients for ever"
    optimiser.step()
    frozen = [PARTS["vision"], PARTS["embedding"], PARTS["dino"]]
    if bridge == "frozen":
        frozen.append("system2.backbone.")
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert not {name for name in moved if name.startswith(tuple(frozen))}
    assert any(name.startswith("system1.decoder.") for name in moved)


@every_bridge
def test_a_variant_is_saved_and_loaded_whole(make_model, batch, bridge, tmp_path):
    model = make_model(bridge).eval()
    model.save_pretrained(tmp_path)
    loaded = DialModel.from_pretrained(tmp_path).eval()
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded.encode_image(pixels), model.encode_image(pixels))
    batch = fitted(model, batch)
    assert torch.equal(actions(loaded, batch), actions(model, batch))
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {name for name, p in loaded.named_parameters() if p.requires_grad}


@every_bridge
@pytest.mark.parametrize("base", ["dial_tiny", "qwen2_5_vl_3b"])
def test_each_variant_is_one_word_away_from_its_base_preset(base, bridge):
    plain = load_config(Architecture, "models", base)
    variant = plain if bridge == "dial" else load_config(Architecture, "models", f"{base}_{bridge}")
    assert variant.bridge == bridge
    assert variant.model_copy(update={"bridge": "dial", "view_encoder": None}) == plain
    model = DialModel.without_weights(variant)
    assert (model.system2.queries is not None) == (bridge in PREDICTS)


class Counted:
    """How many images each tower of a model encoded."""

    def __init__(self, model: DialModel, monkeypatch) -> None:
        self.language = self.views = 0
        tokens = model.vision.tokens

        def counted(tower, pixels):
            self.language += len(pixels)
            return tokens(tower, pixels)

        monkeypatch.setattr(model.vision, "tokens", counted)
        if model.view_encoder is not None:
            model.view_encoder.register_forward_pre_hook(self._count)

    def _count(self, module, inputs) -> None:
        self.views += len(inputs[0])


@every_bridge
@pytest.mark.parametrize("stage", ["warmup", "end_to_end"])
@pytest.mark.parametrize("newer", [True, False])
def test_a_step_from_pixels_encodes_what_is_read_and_has_the_losses_of_whole_tokens(make_model, monkeypatch, bridge, stage, newer):
    model = make_model(bridge).eval()
    rules = model.arch.bridge_rules
    pixels = dict(chunk_batch(Workload(model.arch, 2, 3 if newer else 1, stage=stage, pixels=True), torch.Generator().manual_seed(0)))
    if not newer:
        del pixels["system1_image_tokens"]
    size, chunks = (32, 32, 3), len(pixels["state"])
    generator = torch.Generator().manual_seed(3)
    pixels["further_image_tokens"] = torch.randint(0, 256, (chunks, 1, *size), dtype=torch.uint8, generator=generator)
    whole = {
        name: encoded_whole(model, column) if name.endswith("image_tokens") or name == "goal_tokens" else column
        for name, column in pixels.items()
    }
    expected = model(**whole)
    counted = Counted(model, monkeypatch)
    found = model(**pixels)
    for name in ("loss", "action_loss", *(["world_loss"] if rules.predicts else [])):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-6)
    views = (chunks * (2 if newer else 1)) * rules.shows_view
    read = 2 * rules.predicts + views
    if bridge == "dino":
        assert (counted.language, counted.views) == (2, read + (0 if newer else 2))
    else:
        assert (counted.language, counted.views) == (2 + read, 0)


def encoded_whole(model: DialModel, pixels: torch.Tensor) -> torch.Tensor:
    """All that images (..., H, W, 3) are to a model: (..., N, F)."""
    return model.encode_image(pixels.flatten(0, -4)).unflatten(0, pixels.shape[:-3])


def test_dino_targets_are_the_frozen_towers_tokens_averaged_to_the_grid(make_model):
    model = make_model("dino").eval()
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = model.encode_image(pixels)
    assert features.shape == (2, 4, 32 + 24)
    values = (pixels.float() / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    patches = model.view_encoder.tower(values.permute(0, 3, 1, 2)).last_hidden_state[:, 1:]  # 4x4
    first = patches.view(2, 4, 4, 24)[:, :2, :2].mean((1, 2))
    torch.testing.assert_close(features[:, 0, 32:], first, atol=1e-5, rtol=1e-4)
    assert model.arch.intent_shape == (4, 24)


def test_masked_attention_equals_attention_to_the_rows_that_are_there(make_model):
    fusion = make_model("seer").system1.fusion.eval()
    tokens = torch.randn(1, 7, 32, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([torch.zeros(1, 3, 32), tokens], 1)
    fused = fusion(padded, present_rows(padded))
    torch.testing.assert_close(fused[:, 3:], fusion(tokens), atol=1e-5, rtol=1e-4)
    assert fused[:, :3].abs().max() == 0


def test_words_are_padded_in_front_and_never_cut():
    words = torch.ones(2, 5, 8)
    assert padded_words(words, 7)[:, :, 0].tolist() == [[0, 0, 1, 1, 1, 1, 1]] * 2
    with pytest.raises(DialError, match="5 tokens does not fit prompt_tokens"):
        padded_words(words, 4)


def test_models_that_predict_nothing_say_so(make_model, batch):
    model = make_model("finetuned")
    with pytest.raises(DialError, match="no foresight queries"):
        model.system2.query_states(batch.image_tokens, batch.input_ids, batch.attention_mask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bridge": "dino"}, "view_encoder belongs to the bridge 'dino'"),
        ({"view_encoder": DINO}, "view_encoder belongs to the bridge 'dino'"),
        ({"bridge": "dino", "view_encoder": DINO | {"patch_size": 7}}, "must divide the pixels"),
        ({"bridge": "seer", "prompt_tokens": 4}, "needs prompt_tokens above"),
        ({"bridge": "frozen", "separate_world_head": "last_stage"}, "no world loss"),
        ({"bridge": "groot"}, "'dial', 'dino', 'frozen'"),
    ],
)
def test_bridges_that_do_not_fit_are_refused(make_architecture, change, message):
    with pytest.raises(ValidationError, match=message):
        make_architecture(**change)
