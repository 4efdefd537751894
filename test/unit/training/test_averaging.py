"""The average of the weights, weight by weight, in as few operations as their dtypes allow.

pytest test/unit/training/test_averaging.py
"""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from dial_core.training.averaging import WeightAverage


class Operations(TorchDispatchMode):
    """Notes the names of the operations within it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


def make_model(rounded: bool) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 6))
    model[1].requires_grad_(False)
    return model.bfloat16() if rounded else model


@pytest.mark.parametrize("rounded", [False, True])
def test_the_average_moves_to_the_weights_by_its_share_in_float32(rounded):
    model = make_model(rounded)
    average = WeightAverage(0.25)
    average.begin(model, None, 0)
    assert set(average.values) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    before = {name: value.clone() for name, value in average.values.items()}
    for parameter in model.parameters():
        parameter.data.add_(1)
    average.update(model, 100)
    for name, value in average.values.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, 0.25 * before[name] + 0.75 * model.get_parameter(name).detach().float())


def test_float32_weights_are_averaged_in_one_operation():
    """Each is a kernel launch on a GPU, in every step."""
    model = make_model(rounded=False)
    average = WeightAverage(0.9)
    average.begin(model, None, 0)
    with Operations() as seen:
        average.update(model, 1)
    assert [name for name in seen.names if "lerp" in name] == ["_foreach_lerp_.Scalar"]
