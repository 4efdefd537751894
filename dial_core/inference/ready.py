"""A model made ready to infer: where it runs, how precisely, and how its weights lie in memory."""

import threading
from typing import Literal

import torch
from torch import nn

from dial_core.errors import DialError
from dial_core.model.dial import DialModel

Precision = Literal["auto", "float32", "bfloat16"]
"""Of the weights and what flows between them; `auto` is bfloat16 on CUDA and float32 elsewhere."""

_one_at_a_time = threading.Lock()  # two threads that transpose the same matrix in place would scramble it


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype that a precision means on a device."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def require_device(device: str) -> None:
    """Checks that a model can run there, before anything is loaded.

    Raises:
        DialError: it is no device, or this machine has none such.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise DialError(f"device '{device}' is none: choose cpu, cuda or cuda:N") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise DialError(
            f"device '{device}': PyTorch finds {torch.cuda.device_count()} GPUs with CUDA on this machine; choose another, or cpu"
        )


def ready_to_infer(model: DialModel, device: torch.device, dtype: torch.dtype) -> DialModel:
    """The same model, moved and converted in place, in evaluation mode. Threads that share the model may call this at once.

    Only parameters change dtype: rotary frequencies are buffers, and in bfloat16 they would put tokens in the wrong place.
    """
    with _one_at_a_time:
        for parameter in model.parameters():  # cast first: a float32 model may be too large for the device
            parameter.data = parameter.data.to(dtype)
        nn.Module.to(model, device)
        if device.type == "cpu":
            _lay_out_for_few_rows(model)
    return model.eval()


def _lay_out_for_few_rows(model: nn.Module) -> None:
    """Stores the matrices of linear layers input by input; values and shapes stay.

    With as few rows as one chunk or image has, most of a product's time is reading the matrix, which is then read in order.
    Each is transposed within its own memory: new matrices beside old ones would leave the process with twice the weights.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear) and not module.weight.t().is_contiguous():
            outputs, inputs = module.weight.shape
            memory = module.weight.data.contiguous().view(-1)
            memory.view(inputs, outputs).copy_(memory.clone().view(outputs, inputs).t())
            module.weight.data = memory.view(inputs, outputs).t()
