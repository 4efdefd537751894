from dataclasses import asdict

import pytest
import torch

from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel


@pytest.fixture
def fused(small_model, batch):
    return small_model.eval().condition(batch.goal_tokens, batch.image_tokens).detach()


def test_condition_adds_type_rows_and_keeps_the_order(small_model, batch):
    system1 = small_model.system1
    typed = system1.typed(batch.goal_tokens, batch.image_tokens)
    assert typed.shape == (2, 8, 32)
    torch.testing.assert_close(typed[:, :4] - batch.goal_tokens, system1.image_type[0].expand(2, 4, -1))
    torch.testing.assert_close(typed[:, 4:] - batch.image_tokens, system1.image_type[1].expand(2, 4, -1))


@pytest.mark.parametrize("steps", [1, 4])
def test_cached_sampling_equals_plain_euler_over_the_uncached_velocity(small_model, batch, fused, steps):
    noise = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(3))
    chunk = noise
    with torch.no_grad():
        for k in range(steps):
            tau = torch.full((2,), k / steps)
            chunk = chunk + small_model.velocity(fused, batch.state, chunk, tau, embodiment_id=1) / steps
    sampled = small_model.sample_chunk(fused, batch.state, noise, steps, embodiment_id=1)
    torch.testing.assert_close(sampled, chunk, atol=1e-6, rtol=1e-5)


def test_a_schedule_kept_from_inference_mode_serves_every_chunk_and_gradients(small_model, batch, fused):
    system1, noise = small_model.system1, torch.randn(2, 5, 6)
    with torch.inference_mode():
        kept = system1.schedule(4, slot=1)
    chunk = small_model.sample_chunk(fused, batch.state, noise, embodiment_id=1, schedule=kept)
    torch.testing.assert_close(chunk, small_model.sample_chunk(fused, batch.state, noise, 4, embodiment_id=1), atol=1e-6, rtol=0)
    noise.requires_grad_(True)
    system1.sample_chunk(fused, batch.state, noise, kept, slot=1).sum().backward()
    assert noise.grad.abs().sum() > 0


def test_sampling_is_deterministic_and_hangs_on_noise_state_and_condition(small_model, batch, fused):
    noise = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(3))
    chunk = small_model.sample_chunk(fused, batch.state, noise)
    assert torch.equal(chunk, small_model.sample_chunk(fused, batch.state, noise))
    for other in (
        small_model.sample_chunk(fused, batch.state, noise + 1),
        small_model.sample_chunk(fused, batch.state + 1, noise),
        small_model.sample_chunk(fused.flip(2), batch.state, noise),
    ):
        assert (other - chunk).abs().max() > 1e-4


def test_even_blocks_see_the_condition_and_odd_blocks_do_not(small_model):
    decoder, arch = small_model.system1.decoder, small_model.arch
    for i, block in enumerate(decoder.blocks):
        assert block.crosses == (i % 2 == 0)
        assert block.attention.key.in_features == (arch.width if block.crosses else arch.decoder.width)


def test_each_embodiment_has_its_own_slot(small_model, batch, fused):
    noisy, tau = torch.randn(2, 5, 6), torch.tensor([0.3, 0.6])
    mixed = small_model.velocity(fused, batch.state, noisy, tau, torch.tensor([0, 1]))
    first = small_model.velocity(fused, batch.state, noisy, tau, 0)
    second = small_model.velocity(fused, batch.state, noisy, tau, 1)
    torch.testing.assert_close(mixed[0], first[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mixed[1], second[1], atol=1e-6, rtol=1e-5)
    assert (first - second).abs().max() > 1e-3


def test_dropout_acts_in_training_only(make_architecture, batch):
    fusion = make_architecture().fusion.model_copy(update={"dropout": 0.5})
    model = DialModel(DialConfig(make_architecture(fusion=fusion.model_dump())))
    model.train()
    first = model.condition(batch.goal_tokens, batch.image_tokens)
    assert not torch.equal(first, model.condition(batch.goal_tokens, batch.image_tokens))
    model.eval()
    first = model.condition(batch.goal_tokens, batch.image_tokens)
    assert torch.equal(first, model.condition(batch.goal_tokens, batch.image_tokens))


@pytest.mark.parametrize("steps", [1, 4])
def test_the_true_velocity_carries_noise_to_the_chunk(small_model, batch, fused, monkeypatch, steps):
    """The target of training is A - eps; Euler steps along it end at A."""
    noise = torch.randn(2, 5, 6)
    monkeypatch.setattr(small_model.system1, "velocity", lambda *_: batch.action - noise)
    torch.testing.assert_close(small_model.sample_chunk(fused, batch.state, noise, steps), batch.action, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_the_sampler_follows_a_linear_field_as_euler_does_by_hand(small_model, batch, fused, monkeypatch, steps):
    """v = g A + b has Euler's solution (1 + g / n)^n A_0 + ((1 + g / n)^n - 1) b / g, which nears the exponential's."""
    gain, offset = -1.7, 0.4
    noise = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(small_model.system1, "velocity", lambda cache, state, noisy, *_: gain * noisy + offset)
    growth = (1 + gain / steps) ** steps
    expected = growth * noise + (growth - 1) * offset / gain
    torch.testing.assert_close(small_model.sample_chunk(fused, batch.state, noise, steps), expected, atol=1e-6, rtol=1e-5)


def test_training_targets_the_velocity_that_carries_noise_to_the_chunk(small_model, batch, monkeypatch):
    """The loss is zero for A - eps exactly, at every tau, and for tau A + (1 - tau) eps as the network's input."""
    seen = []

    def perfect(fused, state, noisy, tau, embodiment_id):
        seen.append(noisy)
        return batch.action - noise

    noise, tau = torch.randn(2, 5, 6), torch.tensor([0.1, 0.8])
    monkeypatch.setattr(small_model, "velocity", perfect)
    out = small_model("warmup", noise=noise, tau=tau, **asdict(batch))
    assert out.action_loss.item() == 0
    by_hand = torch.stack([t * a + (1 - t) * e for t, a, e in zip(tau, batch.action, noise, strict=True)])
    torch.testing.assert_close(seen[0], by_hand)


def test_eight_samples_at_once_equal_eight_alone(small_model):
    """From images and prompts of different lengths to chunks, each through its own embodiment slot."""
    model, generator = small_model.eval(), torch.Generator().manual_seed(7)
    images = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8, generator=generator)
    image, states, noise = model.arch.tokens.image, torch.randn(8, 7, generator=generator), torch.randn(8, 5, 6, generator=generator)
    prompts = [[2, 4, image, image, image, image, 5, *range(120, 120 + words)] for words in range(1, 9)]
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    slots = torch.arange(8) % 2

    def chunks(rows: slice, cut: int) -> torch.Tensor:
        view = model.encode_image(images[rows])
        foresight = model.foresight(view, ids[rows, cut:], (ids[rows, cut:] != 0).long())
        return model.sample_chunk(model.condition(foresight, view), states[rows], noise[rows], 4, slots[rows])

    with torch.no_grad():
        alone = torch.cat([chunks(slice(i, i + 1), longest - len(prompts[i])) for i in range(8)])
        torch.testing.assert_close(chunks(slice(0, 8), 0), alone, atol=1e-5, rtol=1e-4)
