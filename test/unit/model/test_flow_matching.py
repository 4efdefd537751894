import math

import numpy as np
import pytest
import torch

from dial_core.model.configuration import Flow
from dial_core.model.flow_matching import (
    NO_NOISE,
    draw_tau,
    draw_tau_by,
    embedding_time,
    initial_noise,
    interpolate,
    masked_mean_square,
    sinusoid,
)

PAPER, RELEASED = Flow(tau="paper"), Flow(tau="released")


def test_paper_tau_is_uniform():
    torch.manual_seed(0)
    tau = draw_tau(PAPER, 20_000)
    assert tau.min() >= 0
    assert tau.max() < 1
    assert tau.mean().item() == pytest.approx(1 / 2, abs=0.01)
    assert tau.var().item() == pytest.approx(1 / 12, abs=0.005)


def test_released_tau_leans_to_noise():
    """s ~ Beta(1.5, 1) has mean 0.6, so tau = (0.999 - s) / 0.999 has mean 0.4 and never leaves [0, 1)."""
    torch.manual_seed(0)
    tau = draw_tau(RELEASED, 20_000)
    assert tau.min() >= 0
    assert tau.max() < 1
    assert tau.mean().item() == pytest.approx(0.4, abs=0.01)


def test_released_tau_has_the_spread_of_its_beta_distribution():
    """Var Beta(a, b) = a b / ((a + b)^2 (a + b + 1)); quarters of its mass from the distribution function s^1.5."""
    torch.manual_seed(1)
    tau = draw_tau(RELEASED, 200_000)
    variance = 1.5 * 1.0 / (2.5**2 * 3.5) / 0.999**2
    assert tau.var().item() == pytest.approx(variance, abs=1e-3)
    for share in (0.25, 0.5, 0.75):
        s = share ** (1 / 1.5)
        assert (tau > (0.999 - s) / 0.999).float().mean().item() == pytest.approx(share, abs=5e-3)


@pytest.mark.parametrize("flow", [PAPER, RELEASED])
def test_times_of_samples_are_distributed_as_the_models_own(flow):
    torch.manual_seed(2)
    own, drawn = draw_tau(flow, 100_000), draw_tau_by(np.random.default_rng(0), flow, 100_000)
    assert drawn.dtype == torch.float32
    shares = torch.linspace(0.02, 0.98, 25)
    torch.testing.assert_close(drawn.quantile(shares), own.quantile(shares), atol=0.01, rtol=0)
    assert drawn.min() >= 0
    assert drawn.max() < 1


def test_only_the_released_flow_quantises_the_embedded_time():
    tau = torch.tensor([0.0, 0.25, 0.12345, 0.5, 0.75])
    assert embedding_time(RELEASED, tau).tolist() == [0, 250, 123, 500, 750]
    torch.testing.assert_close(embedding_time(PAPER, tau), tau * 1000)


@pytest.mark.parametrize("steps", [4, 8, 10, 50])
def test_sampler_times_fall_on_their_own_bucket(steps):
    taus = torch.arange(steps, dtype=torch.float32) / steps
    assert embedding_time(RELEASED, taus).tolist() == [i * 1000 // steps for i in range(steps)]


def test_interpolation_runs_from_noise_to_action_with_constant_velocity():
    action, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(interpolate(action, noise, torch.zeros(2)), noise)
    torch.testing.assert_close(interpolate(action, noise, torch.ones(2)), action)
    early, late = (interpolate(action, noise, torch.full((2,), tau)) for tau in (0.25, 0.75))
    torch.testing.assert_close((late - early) / 0.5, action - noise)


def test_masked_elements_do_not_count():
    error = torch.tensor([[[1.0, 100.0], [3.0, 100.0]]])
    mask = torch.tensor([[[1.0, 0.0]]])
    assert masked_mean_square(error, mask).item() == pytest.approx((1 + 9) / 2)
    assert masked_mean_square(error, torch.zeros(1, 2, 2)).item() == 0


def test_time_codes_have_the_form_of_the_release():
    """Action encoder: sine first, exponent i / (width / 2). Decoder (diffusers): cosine first, i / (width / 2 - 1)."""
    time = torch.tensor([250.0])
    code = sinusoid(time, 8, last_frequency_index=4)[0]
    assert code[1].item() == pytest.approx(math.sin(250 * 10_000 ** (-1 / 4)), abs=1e-4)
    code = sinusoid(time, 8, last_frequency_index=3, cosine_first=True)[0]
    assert code[1].item() == pytest.approx(math.cos(250 * 10_000 ** (-1 / 3)), abs=1e-4)


def test_noise_is_drawn_from_its_seed_and_without_one_it_is_its_mean():
    drawn = initial_noise(3, (2, 16, 47))
    assert torch.equal(drawn, initial_noise(3, (2, 16, 47)))
    assert not torch.equal(drawn, initial_noise(4, (2, 16, 47)))
    assert drawn.dtype == torch.float32
    assert abs(float(drawn.std()) - 1) < 0.05
    assert torch.equal(initial_noise(NO_NOISE, (2, 16, 47)), torch.zeros(2, 16, 47))
