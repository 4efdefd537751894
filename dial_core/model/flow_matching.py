"""Flow matching: how noise becomes a chunk (model.md, System-1, 5 and 6).

A^tau = tau * A + (1 - tau) * eps, and the network learns the velocity A - eps.
"""

import math

import numpy as np
import torch

from dial_core.model.configuration import Flow

NO_NOISE = -1  # in place of a seed


def initial_noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Returns the initial noise of a session's chunks, float32 of `shape`: Gaussian noise of the seed, or with `NO_NOISE` its mean, zeros.

    A network that has not learned to forget its noise passes it on to the chunks as a constant error, such as a hand that never quite
    closes (docs/results/dial_tiny.md).
    """
    if seed == NO_NOISE:
        return torch.zeros(shape)
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=torch.float32)


def draw_tau(flow: Flow, batch: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Training times (B,) in [0, 1): uniform (`paper`), or (scale - s) / scale with s ~ Beta (`released`)."""
    if flow.tau == "paper":
        return torch.rand(batch, device=device)
    beta = torch.distributions.Beta(flow.beta_alpha, flow.beta_beta)
    return ((flow.beta_scale - beta.sample((batch,)).to(device)) / flow.beta_scale).clamp_min(0.0)


def draw_tau_by(rng: np.random.Generator, flow: Flow, batch: int) -> torch.Tensor:
    """As `draw_tau`, from a generator of its own: what a sample draws does not touch torch's random numbers."""
    if flow.tau == "paper":
        return torch.from_numpy(rng.random(batch, np.float32))
    drawn = torch.from_numpy(rng.beta(flow.beta_alpha, flow.beta_beta, batch).astype(np.float32))
    return ((flow.beta_scale - drawn) / flow.beta_scale).clamp_min(0.0)


def embedding_time(flow: Flow, tau_B: torch.Tensor) -> torch.Tensor:
    """The time (B,) that the network sees, in [0, buckets): `released` quantises to whole buckets."""
    time_B = tau_B.float() * flow.buckets
    # The small addend keeps k / steps * buckets from falling below its whole number by float rounding.
    return (time_B + 1e-4).floor() if flow.tau == "released" else time_B


def interpolate(action_BHA: torch.Tensor, noise_BHA: torch.Tensor, tau_B: torch.Tensor) -> torch.Tensor:
    """A^tau (B, H, A)."""
    tau_B11 = tau_B.to(action_BHA.dtype).view(-1, 1, 1)
    return tau_B11 * action_BHA + (1 - tau_B11) * noise_BHA


def masked_mean_square(error_BHA: torch.Tensor, mask_BHA: torch.Tensor, elements: torch.Tensor | None = None) -> torch.Tensor:
    """Mean of squared errors over unmasked elements (mask 1), or their sum over `elements`."""
    mask_BHA = mask_BHA.to(error_BHA.dtype).expand_as(error_BHA)
    count = mask_BHA.sum() if elements is None else elements
    return (error_BHA.square() * mask_BHA).sum() / count.clamp_min(1.0)


def sinusoid(time_B: torch.Tensor, width: int, last_frequency_index: float, cosine_first: bool = False) -> torch.Tensor:
    """Sine and cosine code (B, width) of times, frequencies 10000^(-i / last_frequency_index), i < width / 2."""
    index = torch.arange(width // 2, device=time_B.device, dtype=torch.float32)
    angles = time_B.float().unsqueeze(-1) * torch.exp(-math.log(10000.0) * index / last_frequency_index)
    parts = [angles.cos(), angles.sin()] if cosine_first else [angles.sin(), angles.cos()]
    return torch.cat(parts, -1)
