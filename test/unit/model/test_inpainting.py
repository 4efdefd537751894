"""The flow sampler led towards committed actions."""

import numpy as np
import pytest
import torch

from dial_core.model.dial import DialModel
from dial_core.model.inpainting import _guidance, sample_chunk_onto


@pytest.fixture(scope="module")
def scene():
    """A random dial-tiny with a condition, a state and a noise."""
    model = DialModel.from_preset("dial_tiny").eval()
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    arch = model.arch
    fused = model.condition(draw(1, 36, arch.width), draw(1, 36, arch.width)).detach()
    return model, fused, draw(1, arch.state_dim), draw(1, arch.horizon, arch.action_dim)


def sampled(scene, committed, weights, strength=5.0, steps=4):
    model, fused, state, noise = scene
    schedule, weights = model.system1.schedule(steps, 0), torch.tensor(weights, dtype=torch.float32)
    return sample_chunk_onto(model.system1, fused, state, noise, schedule, 0, committed, weights, strength)


def test_without_weights_it_is_the_plain_sampler(scene):
    model, fused, state, noise = scene
    plain = model.sample_chunk(fused, state, noise, 4)
    led = sampled(scene, torch.zeros_like(noise), np.zeros(16))
    torch.testing.assert_close(led, plain, atol=1e-5, rtol=1e-5)


def test_committed_steps_come_much_closer_than_without_and_free_ones_are_free(scene):
    model, fused, state, noise = scene
    plain = model.sample_chunk(fused, state, noise, 4)
    committed = plain + 0.5
    weights = np.where(np.arange(16) < 4, 1.0, 0.0)
    led = sampled(scene, committed, weights)
    before, after = (plain - committed)[:, :4].abs().mean(), (led - committed)[:, :4].abs().mean()
    assert after < 0.35 * before
    assert (led - plain)[:, 8:].abs().mean() < 0.2 * (led - plain)[:, :4].abs().mean()


def test_nothing_is_left_to_learn_from(scene):
    led = sampled(scene, torch.zeros(1, 16, 47), np.ones(16))
    assert not led.requires_grad
    assert all(parameter.grad is None for parameter in scene[0].parameters())


def test_the_guidance_is_clipped_at_both_ends_and_as_the_paper_has_it_in_between():
    assert _guidance(0.0, 5.0) == 5.0
    assert _guidance(0.5, 5.0) == pytest.approx(0.5 / (0.5 * 0.5))  # (1 - tau) / (tau r^2), r^2 = 1/2
    assert _guidance(0.01, 5.0) == 5.0
