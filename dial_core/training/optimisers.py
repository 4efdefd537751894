"""The optimiser of a run: AdamW for everything, or Muon for the matrices and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import distributed, nn

from dial_core.training.float32_muon import Float32Muon
from dial_core.training.optimisation import Optimisation


def make_optimiser(plan: Optimisation, model: nn.Module) -> torch.optim.Optimizer:
    """What steps the trainable parameters of `model`: fused AdamW, or `MuonAdamW`, with the plan's rate for each module."""
    groups = plan.parameter_groups(model)
    if plan.optimiser == "muon":
        return MuonAdamW(groups, plan)
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas, eps=1e-8, fused=True)


def multiplies_bfloat16() -> bool:
    """Whether this processor has units for products of bfloat16 matrices (AMX), which are faster than its float32."""
    return bool(torch.cpu._is_amx_tile_supported())


def _all_multiply_bfloat16() -> bool:
    """Whether the processors of all processes that train together on CPUs do: `Float32Muon` shares its work with all or none."""
    own = torch.tensor(int(multiplies_bfloat16()))
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(own, distributed.ReduceOp.MIN)
    return bool(own)


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
            emulated = muon[0]["params"][0].device.type == "cpu" and not _all_multiply_bfloat16()
            kind = Float32Muon if emulated else torch.optim.Muon
            self._parts.append(kind(muon, lr=plan.learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
        if rest:
            self._parts.append(torch.optim.AdamW(rest, lr=plan.learning_rate, betas=plan.betas, eps=1e-8, fused=True))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None if closure is None else torch.enable_grad()(closure)()
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
