"""The optimiser of a run: AdamW for everything, or Muon for the matrices and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dial_core.training.optimisation import Optimisation

_MATCHED_RMS = 0.2  # of an AdamW step, in terms of its rate: Liu et al. 2025, and torch's `match_rms_adamw`


def make_optimiser(plan: Optimisation, model: nn.Module) -> torch.optim.Optimizer:
    """What steps the trainable parameters of `model`: fused AdamW, or `MuonAdamW`, with the plan's rate for each module."""
    groups = plan.parameter_groups(model)
    if plan.optimiser == "muon":
        return MuonAdamW(groups, plan)
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, eps=1e-8, fused=True)


class Float32Muon(torch.optim.Muon):
    """torch's Muon, orthogonalising in float32: for processors that multiply no bfloat16 matrices.

    torch's always computes in bfloat16, which a processor without such units emulates: 265 ms of processor time instead of 19 ms for one
    768 x 192 matrix on an AMD EPYC with AVX2. Same states, same steps but for bfloat16's rounding, so a run may go on on another one.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every matrix that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter.grad)
                momentum = state["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                length = group["lr"] * _MATCHED_RMS * max(parameter.shape) ** 0.5
                parameter.add_(_orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"]), alpha=-length)
        return loss


def multiplies_bfloat16() -> bool:
    """Whether this processor has units for products of bfloat16 matrices (AMX), which are faster than its float32."""
    return bool(torch.cpu._is_amx_tile_supported())


def _orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The matrix with all singular values near 1, by as many Newton-Schulz iterations (Jordan et al. 2024)."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if tall else matrix
    wide = wide / wide.norm().clamp(min=eps)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if tall else wide


class MuonAdamW(torch.optim.Optimizer):
    """Two of torch's optimisers as one: groups marked `by_muon` are stepped by Muon, all others by fused AdamW.

    Muon steps a matrix by its momentum made orthogonal, so that every direction of the matrix is learned at the same pace (Jordan et
    al. 2024). Steps have the size that AdamW's would have at the group's rate (`match_rms_adamw`, Liu et al. 2025, arXiv:2502.16982).
    Both optimisers share this one's groups and state, which is what schedulers see and checkpoints hold.
    """

    def __init__(self, groups: list[dict], plan: Optimisation) -> None:
        muon = [group for group in groups if group["by_muon"]]
        rest = [group for group in groups if not group["by_muon"]]
        self._parts: list[torch.optim.Optimizer] = []
        if muon:
            emulated = muon[0]["params"][0].device.type == "cpu" and not multiplies_bfloat16()
            kind = Float32Muon if emulated else torch.optim.Muon
            self._parts.append(kind(muon, lr=plan.learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
        if rest:
            self._parts.append(torch.optim.AdamW(rest, lr=plan.learning_rate, betas=plan.betas, eps=1e-8, fused=True))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where the optimiser stood that gave `state_dict`."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        for part in self._parts:
            muon = isinstance(part, torch.optim.Muon)
            part.param_groups = [group for group in self.param_groups if group["by_muon"] == muon]
            part.state = self.state
