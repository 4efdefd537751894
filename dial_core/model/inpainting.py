"""The flow sampler led towards actions that are committed already: real-time chunking.

Black et al. 2025, "Real-time execution of action chunking flow policies", Alg. 1: at every Euler step the chunk that the
velocity points at, A1 = x + (1 - tau) v, is compared with the committed actions Y, and the velocity is corrected along the
gradient of that comparison, clipped at `strength` (their beta):

    v + min(beta, (1 - tau) / (tau r^2)) * ((Y - A1) diag(W)) dA1/dx,    r^2 = (1 - tau)^2 / (tau^2 + (1 - tau)^2)
"""

import torch

from dial_core.model.embodiment_slots import Slot
from dial_core.model.system1 import Schedule, System1

STRENGTH = 5.0  # the paper's beta for few Euler steps


def sample_chunk_onto(
    system1: System1,
    fused_BMD: torch.Tensor,
    state_BS: torch.Tensor,
    noise_BHA: torch.Tensor,
    schedule: Schedule,
    slot: Slot,
    committed_BHD: torch.Tensor,
    weights_H: torch.Tensor,
    strength: float = STRENGTH,
) -> torch.Tensor:
    """Euler from noise to a normalised chunk (B, H, A) that agrees with `committed_BHD` where `weights_H` is 1.

    D is A, or less in a model whose vectors are padded: the padding is left free.
    Not to be called in inference mode: each step needs the gradient with respect to the chunk.
    """
    with torch.no_grad():
        cache = system1.decoder.condition_cache(fused_BMD)
        state_token = system1.encode_state(state_BS, slot)
    weights_1H1, chunk_BHA, committed_dim = weights_H[None, :, None], noise_BHA, committed_BHD.shape[-1]
    for step, steering in enumerate(schedule):
        tau = step / len(schedule)
        with torch.enable_grad():
            chunk_BHA = chunk_BHA.detach().requires_grad_(True)
            velocity_BHA = system1.velocity(cache, state_token, chunk_BHA.to(fused_BMD.dtype), steering, slot)
            arrival_BHA = chunk_BHA + (1 - tau) * velocity_BHA
            arrival_BHD = arrival_BHA[..., :committed_dim]
            error_BHD = ((committed_BHD - arrival_BHD) * weights_1H1).detach()
            (correction_BHA,) = torch.autograd.grad((arrival_BHD * error_BHD).sum(), chunk_BHA)
        chunk_BHA = chunk_BHA + (velocity_BHA + _guidance(tau, strength) * correction_BHA) / len(schedule)
    return chunk_BHA.detach()


def _guidance(tau: float, strength: float) -> float:
    """Weight of the correction at tau [1]."""
    if tau == 0:
        return strength
    spread = (1 - tau) ** 2 / (tau**2 + (1 - tau) ** 2)
    return min(strength, (1 - tau) / (tau * spread))
