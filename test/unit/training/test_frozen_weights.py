"""Frozen weights in bfloat16 change neither losses, nor gradients, nor what a checkpoint holds of them."""

import pytest
import torch
from safetensors.torch import load_file

from dial_core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from dial_core.config import load_config
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.frozen_weights import FrozenWeights
from dial_core.training.probe import Workload, chunk_batch
from dial_core.training.recipe import Recipe
from dial_core.training.stages import never_trained

from .test_processes import narrow_architecture

TABLE = "system2.backbone.language_model.embed_tokens.weight"
VIEW_ENCODER = {"layers": 1, "width": 24, "heads": 2, "patch_size": 8, "pretrained_size": 32}


def published(model: DialModel) -> DialModel:
    """The model with frozen weights as a backbone is published: bfloat16's values in float32."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16().float()
    return model


def make_model(arch: Architecture | None = None, stage: str = "end_to_end") -> DialModel:
    torch.manual_seed(0)
    model = DialModel(DialConfig(arch or narrow_architecture()))
    model.set_trainable(stage)
    return model


def step(model: DialModel) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of a step in bfloat16, from pixels."""
    model.zero_grad()
    torch.manual_seed(0)
    batch = chunk_batch(Workload(model.arch, 2, 2, pixels=True), torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.eval()(**batch).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "changes",
    [{}, {"bridge": "frozen"}, {"bridge": "dino", "view_encoder": VIEW_ENCODER}],
    ids=["dial", "frozen language model", "dino"],
)
def test_a_step_has_the_same_loss_and_gradients_to_the_last_bit(changes):
    model = published(make_model(narrow_architecture(**changes)))
    loss, gradients = step(model)
    frozen = FrozenWeights(model)
    assert TABLE in frozen.held
    assert any(name.startswith("system2.backbone.visual") for name in frozen.held)
    held_loss, held_gradients = step(model)
    assert torch.equal(loss, held_loss)
    assert gradients.keys() == held_gradients.keys()
    for name, gradient in gradients.items():
        assert gradient.dtype == torch.float32
        assert torch.equal(gradient, held_gradients[name]), name


def test_what_learns_stays_float32_and_so_do_norms_and_biases():
    model = published(make_model())
    frozen = FrozenWeights(model)
    for name, parameter in model.named_parameters():
        assert (parameter.dtype == torch.bfloat16) == (name in frozen.held), name
        assert not (parameter.requires_grad or parameter.ndim < 2) or parameter.dtype == torch.float32, name


def test_weights_that_rounding_would_change_stay_float32():
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = FrozenWeights(model)
    assert TABLE not in frozen.held
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_frozen_weights_come_back_to_the_last_bit():
    model = published(make_model())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = FrozenWeights(model)
    restored = frozen.restored(dict(model.state_dict()))
    frozen.release(model)
    for weights in (restored, model.state_dict()):
        assert {value.dtype for value in weights.values()} == {torch.float32}
        assert all(torch.equal(value, before[name]) for name, value in weights.items())


def test_an_engine_that_rounds_every_weight_changes_no_frozen_one(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = FrozenWeights(model)
    restored = frozen.restored(dict(model.bfloat16().state_dict()))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad or torch.equal(restored[name], before[name]), name


def test_a_stored_checkpoint_keeps_what_never_learned_in_a_format_that_holds_it(tmp_path):
    model = published(make_model(load_config(Architecture, "models", "dial_tiny")))
    kept = never_trained(load_config(Recipe, "training", "dial_tiny"), model)
    assert TABLE in kept
    assert "system2.queries" not in kept
    model.get_parameter(TABLE).data[0, 0] = 2.0**-30  # bfloat16 holds it, float16 does not
    vision = "system2.backbone.visual.merger.mlp.0.weight"
    model.get_parameter(vision).data[0, :2] = torch.tensor([2.0**-30, 1 / 3])  # only float32 holds both
    robot, identity = load_embodiment("gr1"), Normaliser.identity(47)
    save_checkpoint(tmp_path / "out", model, tiny_tokenizer(), identity, robot, dtype=torch.float16, kept=kept)
    stored = load_file(tmp_path / "out/model.safetensors")
    assert (stored[TABLE].dtype, stored[vision].dtype) == (torch.bfloat16, torch.float32)
    assert stored["system2.queries"].dtype == torch.float16
    loaded = load_checkpoint(tmp_path / "out").model.state_dict()
    assert all(loaded[name].equal(model.get_parameter(name).data) for name in kept)
