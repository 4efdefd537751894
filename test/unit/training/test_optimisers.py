"""Muon and AdamW as one optimiser: who steps what, how far, and that a resumed run steps alike."""

import copy

import pytest
import torch
from torch import nn

from dial_core.model.embodiment_slots import SlotLinear
from dial_core.training import optimisers
from dial_core.training.optimisation import Optimisation
from dial_core.training.optimisers import make_optimiser


class Small(nn.Module):
    """One module of each kind that the model has."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.block, self.other, self.norm = nn.Linear(24, 48), nn.Linear(48, 16), nn.LayerNorm(48)
        self.words, self.tied = nn.Embedding(9, 16), nn.Linear(16, 9, bias=False)
        self.tied.weight = self.words.weight
        self.slots, self.table = SlotLinear(1, 16, 2), nn.Parameter(torch.zeros(3, 4))

    def forward(self, x):
        hidden = self.other(torch.relu(self.norm(self.block(x)))) + self.words.weight[0]
        return self.slots(hidden[:, None], 0).square().mean() + self.table.sum() ** 2 + self.tied(hidden).square().mean()


def plan(**keys) -> Optimisation:
    return Optimisation(**({"steps": 10, "batch_size": 1, "learning_rate": 1e-3, "optimiser": "muon"} | keys))


def stepped(model: nn.Module, optimiser: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(32, 24, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        model(x).backward()
        optimiser.step()


def test_muon_steps_the_matrices_of_linear_layers_and_adamw_everything_else():
    model = Small()
    optimiser = make_optimiser(plan(betas=(0.8, 0.99)), model)
    by_muon = {id(p) for group in optimiser.param_groups if group["by_muon"] for p in group["params"]}
    assert {name for name, p in model.named_parameters() if id(p) in by_muon} == {"block.weight", "other.weight"}
    assert {group["betas"] for group in optimiser.param_groups if not group["by_muon"]} == {(0.8, 0.99)}
    everything = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("keys", [{"learning_rates": {"other": 3e-3}}, {"muon_rate_factor": 30.0}, {}])
def test_a_first_step_of_muon_is_as_long_as_one_of_adamw_at_the_rate_that_the_plan_gives_it(keys):
    model = Small()
    before = model.other.weight.detach().clone()
    stepped(model, make_optimiser(plan(weight_decay=0.0, **keys), model), range(1))
    rate = keys.get("learning_rates", {}).get("other", 1e-3) * keys.get("muon_rate_factor", 15.0)
    # 0.2 of the rate, the usual size of AdamW's steps, if all singular values are 1; the iteration leaves them between 0.7 and 1.2, and
    # the gradient of a matrix of 16 x 48 fills all 16 directions.
    step_size = (model.other.weight - before).square().mean().sqrt().item()
    assert 0.6 * 0.2 * rate < step_size < 1.3 * 0.2 * rate


def test_a_resumed_optimiser_steps_as_one_that_was_never_stopped():
    whole, resumed = Small(), Small()
    stepped(whole, make_optimiser(plan(), whole), range(6))
    first = make_optimiser(plan(), resumed)
    stepped(resumed, first, range(3))
    second = make_optimiser(plan(), resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    stepped(resumed, second, range(3, 6))
    for (name, a), b in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("keys", [{}, {"weight_decay": 0.1}])
def test_on_a_processor_without_bfloat16_units_muon_steps_as_torchs_would_in_float32(monkeypatch, keys):
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())  # torch's, unrounded
    ours, torchs = Small(), Small()
    for model, units in ((ours, False), (torchs, True)):
        monkeypatch.setattr(optimisers, "multiplies_bfloat16", lambda units=units: units)
        stepped(model, make_optimiser(plan(**keys), model), range(5))
    for name in ("block", "other"):
        torch.testing.assert_close(getattr(ours, name).weight, getattr(torchs, name).weight, rtol=0.0, atol=1e-5)


def test_muons_products_are_in_float32_where_bfloat16_would_be_emulated(monkeypatch):
    monkeypatch.setattr(optimisers, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: pytest.fail("emulated"))
    model = Small()
    stepped(model, make_optimiser(plan(), model), range(2))


def test_a_schedule_of_rates_reaches_both():
    model = Small()
    before = [p.detach().clone() for p in model.parameters()]
    optimiser = make_optimiser(plan(), model)
    torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.0)
    stepped(model, optimiser, range(1))
    assert all(p.grad.any() for p in (model.block.weight, model.norm.weight)), "one of Muon's, one of AdamW's"
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_closure_computes_the_gradients_that_are_stepped(monkeypatch):
    monkeypatch.setattr(optimisers, "multiplies_bfloat16", lambda: False)
    model = Small()
    before, optimiser = model.block.weight.detach().clone(), make_optimiser(plan(), model)

    def closure():
        loss = model(torch.ones(4, 24))
        loss.backward()
        return loss

    assert optimiser.step(closure) > 0
    assert not torch.equal(model.block.weight, before)
