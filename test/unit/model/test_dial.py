from dataclasses import asdict

import pytest
import torch

from dial_core.errors import DialError
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.flow_matching import embedding_time

from .conftest import Batch


def step(model, batch, stage: str, **changes):
    return model(stage=stage, **(asdict(batch) | {"noise": torch.full((2, 5, 6), 0.3), "tau": torch.tensor([0.2, 0.7])} | changes))


def gradients(model, loss) -> dict[str, torch.Tensor | None]:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def touched(grads, prefix: str) -> list[str]:
    return [name for name, grad in grads.items() if name.startswith(prefix) and grad is not None and grad.abs().max() > 0]


def test_warmup_sends_no_action_gradient_to_system2(small_model, batch):
    grads = gradients(small_model, step(small_model, batch, "warmup").action_loss)
    assert touched(grads, "system2.") == []
    assert touched(grads, "system1.fusion.")


def test_end_to_end_sends_the_action_gradient_through_the_foresight(small_model, batch):
    grads = gradients(small_model, step(small_model, batch, "end_to_end").action_loss)
    for part in ("system2.queries", "system2.foresight_head.", "system2.backbone.language_model.layers.0.", "system1.fusion."):
        assert touched(grads, part), part


@pytest.mark.parametrize("stage", ["warmup", "end_to_end"])
def test_the_world_loss_teaches_system2_and_never_system1(small_model, batch, stage):
    grads = gradients(small_model, step(small_model, batch, stage).world_loss)
    assert touched(grads, "system2.queries")
    assert touched(grads, "system1.") == []


@pytest.mark.parametrize("stage", ["warmup", "end_to_end"])
def test_vision_tower_and_text_embedding_stay_bit_equal_while_the_rest_learns(small_model, batch, stage):
    small_model.set_trainable(stage)
    before = {name: parameter.detach().clone() for name, parameter in small_model.named_parameters()}
    optimiser = torch.optim.AdamW(small_model.parameters(), lr=1e-2, weight_decay=0.1)
    step(small_model, batch, stage).loss.backward()
    optimiser.step()
    frozen = ("system2.backbone.visual.", "system2.backbone.language_model.embed_tokens.")
    for name, parameter in small_model.named_parameters():
        assert torch.equal(parameter, before[name]) == name.startswith(frozen), name


def test_pretraining_trains_the_backbone_and_nothing_else(small_model):
    small_model.set_trainable("pretrain")
    for name, parameter in small_model.named_parameters():
        assert parameter.requires_grad == name.startswith("system2.backbone."), name


def test_losses_are_what_their_equations_say(small_model, batch):
    small_model.eval()
    out = step(small_model, batch, "end_to_end", action_mask=torch.tensor([1.0, 1, 0, 0, 0, 0]))
    foresight = small_model.foresight(batch.image_tokens, batch.input_ids, batch.attention_mask)
    world = (foresight - batch.goal_tokens).square().mean()
    tau, noise = torch.tensor([0.2, 0.7]), torch.full((2, 5, 6), 0.3)
    noisy = tau.view(2, 1, 1) * batch.action + (1 - tau.view(2, 1, 1)) * noise
    velocity = small_model.velocity(small_model.condition(foresight, batch.image_tokens), batch.state, noisy, tau)
    action = (velocity - (batch.action - noise))[..., :2].square().mean()
    torch.testing.assert_close(out.world_loss, world)
    torch.testing.assert_close(out.action_loss, action)
    torch.testing.assert_close(out.loss, world + action)


def test_the_released_loss_is_the_mean(make_architecture, batch):
    torch.manual_seed(0)
    model = DialModel(DialConfig(make_architecture(loss="mean")))
    out = step(model, batch, "warmup")
    torch.testing.assert_close(out.loss, (out.world_loss + out.action_loss) / 2)


def test_warmup_system1_sees_the_true_goal_and_end_to_end_the_foresight(small_model, batch):
    small_model.eval()
    other_words = batch.input_ids.clone()
    other_words[:, -1] = 150
    warm, other = (step(small_model, batch, "warmup", input_ids=ids).action_loss for ids in (batch.input_ids, other_words))
    assert torch.equal(warm, other)
    end, other = (step(small_model, batch, "end_to_end", input_ids=ids).action_loss for ids in (batch.input_ids, other_words))
    assert not torch.equal(end, other)


def test_system1_may_see_a_newer_view_than_system2(small_model, batch):
    small_model.eval()
    foresights = []
    small_model.system2.foresight_head.register_forward_hook(lambda module, inputs, output: foresights.append(output))
    base = step(small_model, batch, "end_to_end")
    newer = step(small_model, batch, "end_to_end", system1_image_tokens=batch.image_tokens.flip(0))
    assert torch.equal(*foresights)
    assert not torch.equal(base.action_loss, newer.action_loss)


def test_one_foresight_may_serve_several_views(small_model, batch):
    """Rows 2b and 2b + 1 of views, states and chunks belong to foresight b."""
    small_model.eval()
    twice = {name: getattr(batch, name).repeat_interleave(2, 0) for name in ("state", "action", "action_mask")}
    twice |= {"noise": torch.full((4, 5, 6), 0.3), "tau": torch.tensor([0.2, 0.2, 0.7, 0.7])}
    base = step(small_model, batch, "end_to_end")
    out = step(small_model, batch, "end_to_end", system1_image_tokens=batch.image_tokens.repeat_interleave(2, 0), **twice)
    torch.testing.assert_close(out.action_loss, base.action_loss)
    assert torch.equal(out.world_loss, base.world_loss)


@pytest.mark.parametrize("slots", [1, torch.tensor([0, 1])])
def test_several_draws_of_the_flow_give_the_mean_of_their_losses(small_model, batch, slots):
    """Rows 2c and 2c + 1 of noise and times belong to chunk c. The gradient is the mean too."""
    small_model.eval()
    noise, tau = torch.randn(4, 5, 6), torch.tensor([0.1, 0.5, 0.3, 0.9])
    mask = torch.tensor([1.0, 1, 1, 0, 0, 1])

    def loss_and_gradient(**draws):
        small_model.zero_grad()
        out = step(small_model, batch, "end_to_end", embodiment_id=slots, action_mask=mask, **draws)
        out.action_loss.backward()
        return out.action_loss.detach(), small_model.system1.fusion.blocks[0].ffn.up.weight.grad.clone()

    together, gradient = loss_and_gradient(noise=noise, tau=tau)
    counted, _ = loss_and_gradient(noise=noise, tau=tau, action_elements=torch.tensor(2 * 5 * 4.0))
    (first, first_gradient), (second, second_gradient) = (loss_and_gradient(noise=noise[k::2], tau=tau[k::2]) for k in (0, 1))
    torch.testing.assert_close(together, (first + second) / 2)
    torch.testing.assert_close(gradient, (first_gradient + second_gradient) / 2)
    torch.testing.assert_close(counted, together)


def test_noise_and_times_are_drawn_by_torchs_seed(small_model, batch):
    def loss():
        torch.manual_seed(5)
        return step(small_model, batch, "warmup", noise=None, tau=None).loss

    assert torch.equal(loss(), loss())


def test_unknown_stages_are_refused_with_the_choices(small_model, batch):
    with pytest.raises(DialError, match="warmup, end_to_end"):
        step(small_model, batch, "golden")
    with pytest.raises(DialError, match="pretrain, warmup, end_to_end"):
        small_model.set_trainable("golden")


def test_saving_and_loading_gives_the_same_model(small_model, batch, tmp_path):
    small_model.eval().save_pretrained(tmp_path)
    loaded = DialModel.from_pretrained(tmp_path).eval()
    assert loaded.arch == small_model.arch
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(loaded.encode_image(images), small_model.encode_image(images))
    assert torch.equal(step(loaded, batch, "end_to_end").loss, step(small_model, batch, "end_to_end").loss)
    assert not any(p.requires_grad for p in loaded.backbone.visual.parameters())


def test_loading_is_strict_and_names_the_tensors(small_model, tmp_path):
    state = small_model.state_dict()
    state["system1.stray"] = torch.zeros(1)
    del state["system2.queries"]
    state["system1.image_type"] = torch.zeros(3, 31)
    small_model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(DialError) as error:
        DialModel.from_pretrained(tmp_path)
    for expected in ("missing: system2.queries", "unexpected: system1.stray", "mismatched", "system1.image_type"):
        assert expected in str(error.value)


def test_seeds_decide_the_random_weights():
    first, again, other = (DialModel.from_preset("dial_tiny", seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["system2.queries"], other["system2.queries"])
    assert all(torch.isfinite(tensor).all() for tensor in first.values())


def test_the_tiny_model_is_small_enough_to_ship():
    count = sum(parameter.numel() for parameter in DialModel.from_preset("dial_tiny").parameters())
    assert count * 2 < 16e6  # bytes in fp16


def test_the_full_size_can_be_built_without_memory_and_has_the_papers_counts():
    model = DialModel.without_weights(DialConfig.from_preset("qwen2_5_vl_3b").arch)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    millions = {
        part: round(sum(p.numel() for p in model.get_submodule(part).parameters()) / 1e6)
        for part in ("system2.backbone.visual", "system2.backbone.language_model", "system1.fusion", "system1.decoder")
    }
    assert list(millions.values()) == [669, 3086, 201, 550]
    assert not any(p.requires_grad for p in model.backbone.visual.parameters())


def test_each_node_holds_its_own_part_of_the_full_size():
    config = DialConfig.from_preset("qwen2_5_vl_3b")
    with torch.device("meta"):
        parts = {part: DialModel(config, part) for part in ("whole", "system1", "system2")}
    counts = {part: sum(parameter.numel() for parameter in model.parameters()) / 1e9 for part, model in parts.items()}
    assert counts["system1"] < 1.5 < 3.7 < counts["system2"] < 3.8
    assert counts["system1"] + counts["system2"] - 0.669 == pytest.approx(counts["whole"], abs=1e-3)  # both have the vision tower


def test_masked_dimensions_get_no_gradient_and_move_no_loss(small_model, batch):
    """Padding of other embodiments' vectors: neither the head's columns of such a dimension nor its targets count."""
    mask = torch.tensor([1.0, 1, 0, 1, 0, 1])
    out = step(small_model, batch, "end_to_end", action_mask=mask)
    grads = gradients(small_model, out.action_loss)
    for name in ("system1.action_head.layer2.weight", "system1.action_head.layer2.bias"):
        grad = grads[name][0]  # slot 0
        assert grad[..., mask == 0].abs().max() == 0
        assert grad.abs().reshape(-1, 6).amax(0)[mask == 1].min() > 0
    assert grads["system1.action_head.layer2.bias"][1].abs().max() == 0, "the other embodiment's slot"
    far = torch.where(mask == 0, 1e3, batch.action)
    # The noisy chunk shows the network every dimension: with equal noisy chunks the loss is equal too.
    tau = torch.zeros(2)
    losses = [step(small_model, batch, "warmup", action=action, action_mask=mask, tau=tau).action_loss for action in (batch.action, far)]
    assert torch.equal(*losses)


def test_a_separate_world_head_begins_as_a_copy_of_the_other(make_architecture, batch, tmp_path):
    torch.manual_seed(0)
    model = DialModel(DialConfig(make_architecture(separate_world_head="last_stage")))
    model.set_trainable("warmup")
    assert model.system2.world_head is None
    model.separate_world_head()  # by `dial train`, when a recipe's last stage begins
    model.set_trainable("end_to_end")
    grads = gradients(model, step(model, batch, "end_to_end").world_loss)
    assert touched(grads, "system2.world_head.")
    assert not touched(grads, "system2.foresight_head.")
    assert model.system2.world_head[0].weight.equal(model.system2.foresight_head[0].weight)
    model.system2.world_head[0].weight.data.add_(1)
    model.save_pretrained(tmp_path)
    again = DialModel.from_pretrained(tmp_path)
    again.set_trainable("end_to_end")  # the next stage keeps the head that the last one trained
    assert again.system2.world_head[0].weight.equal(model.system2.world_head[0].weight)


def test_with_bfloat16_weights_actions_noise_and_times_stay_float32(small_model, batch):
    """As DeepSpeed trains: targets and the buckets of tau must not be rounded to 8 bits."""
    small_model.bfloat16().eval()
    for parameter in small_model.system1.action_head.parameters():
        torch.nn.init.zeros_(parameter)
    seen = []
    small_model.system1.decoder.time.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    noise, tau = torch.randn(2, 5, 6), torch.tensor([0.9021, 0.7013])
    out = step(small_model, batch, "end_to_end", noise=noise, tau=tau)
    torch.testing.assert_close(out.action_loss, (batch.action - noise).square().mean())
    torch.testing.assert_close(seen[0], embedding_time(small_model.arch.flow, tau))
    step(small_model, batch, "warmup", noise=noise, tau=tau).loss.backward()


def test_one_sample_trains_under_autocast_as_two_equal_ones_do(small_model, batch):
    """As a micro-batch of one does on a CPU: one time for the whole batch takes the adaptive norms' shorter way."""
    small_model.eval()
    one = Batch(**{name: column[:1] for name, column in asdict(batch).items()})
    two = Batch(**{name: column.repeat_interleave(2, 0) for name, column in asdict(one).items()})
    losses, found = [], []
    for count, samples in enumerate((one, two), 1):
        with torch.autocast("cpu", torch.bfloat16):
            out = step(small_model, samples, "end_to_end", noise=torch.full((count, 5, 6), 0.3), tau=torch.full((count,), 0.7))
        losses.append(out.loss)
        found.append(gradients(small_model, out.loss)["system1.decoder.time.layer2.weight"])
    torch.testing.assert_close(*losses, rtol=1e-3, atol=0)
    torch.testing.assert_close(*found, rtol=0.05, atol=0.02 * float(found[1].abs().max()))
