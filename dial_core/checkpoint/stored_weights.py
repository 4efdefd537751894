"""Reads a checkpoint's weights tensor by tensor, and only those of the systems that will run.

Loading holds the model and one more tensor at most: a node of the 3B model starts with little more memory than it needs later.
The file is read, not mapped into memory, because mapped pages count as memory of the process.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers.initialization import no_init_weights

from dial_core.errors import DialError
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel, Part

LONGEST_HEADER = 100 * 2**20  # [B] as the format prescribes
CHUNK = 2**20  # elements checked, or bytes hashed, at a time
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


class TensorFile:
    """The tensors of a safetensors file, each read when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Reads the header.

        Raises:
            DialError: the file is missing, damaged or truncated.
        """
        self.path = path
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if not 2 <= length <= LONGEST_HEADER:
                    raise ValueError(f"header of {length} bytes")
                header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            self._begin, self._entries = 8 + length, {name: _checked(entry) for name, entry in header.items()}
            stored, expected = path.stat().st_size, self._begin + max(end for _, _, _, end in self._entries.values())
            if stored != expected:
                raise ValueError(f"{stored} bytes, the header describes {expected}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DialError(f"{path} cannot be read: {error}; restore the file") from error

    @property
    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor of this name."""
        return self._entries[name][1]

    def read(self, name: str) -> torch.Tensor:
        """The tensor of this name, in its stored dtype."""
        dtype, shape, _, _ = self._entries[name]
        tensor = torch.empty(shape, dtype=dtype)
        self._read(name, _bytes_of(tensor))
        return tensor

    def digest(self, architecture: dict[str, Any], into: Mapping[str, torch.Tensor] = MappingProxyType({})) -> str:
        """16 hex digits of the SHA-256 over an architecture and all tensors, in one pass that also fills the tensors in `into`.

        Args:
            into: name -> a contiguous tensor of the stored shape, whatever its dtype.
        """
        digest = hashlib.sha256(json.dumps(architecture, sort_keys=True).encode())
        for name in self.names:
            dtype, shape, begin, end = self._entries[name]
            digest.update(f"{name} {dtype} {shape}".encode())
            if name not in into:
                for part in self._parts(begin, end):
                    digest.update(part)
                continue
            tensor = into[name]
            stored = tensor if tensor.dtype == dtype else torch.empty(shape, dtype=dtype)
            self._read(name, _bytes_of(stored))
            digest.update(_bytes_of(stored))
            if stored is not tensor:
                tensor.copy_(stored)
        return digest.hexdigest()[:16]

    def _parts(self, begin: int, end: int) -> Iterator[bytes]:
        """The bytes from `begin` to `end` of the data, few enough at a time that a tensor which no system needs takes no memory."""
        with self.path.open("rb") as file:
            file.seek(self._begin + begin)
            while begin < end:
                part = file.read(min(CHUNK, end - begin))
                if not part:
                    raise DialError(f"{self.path} cannot be read: it ends too early; restore the file")
                begin += len(part)
                yield part

    def _read(self, name: str, rest: memoryview) -> None:
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._begin + self._entries[name][2])
            while rest.nbytes:
                count = file.readinto(rest)
                if not count:
                    raise DialError(f"{self.path} cannot be read: it ends within tensor {name}; restore the file")
                rest = rest[count:]


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return tensor.view(-1).view(torch.uint8).numpy().data


def _checked(entry: dict[str, Any]) -> tuple[torch.dtype, tuple[int, ...], int, int]:
    """(dtype, shape, first byte, byte after the last) of a header's entry."""
    dtype, shape, (begin, end) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
    if end - begin != prod(shape) * dtype.itemsize or begin < 0:
        raise ValueError(f"a tensor of shape {shape} in {end - begin} bytes")
    return dtype, shape, begin, end


def architecture_in(folder: Path) -> dict[str, Any]:
    """The architecture of a checkpoint folder, as its config.json has it.

    Raises:
        DialError: there is none, or the file cannot be read.
    """
    file = folder / "config.json"
    try:
        return json.loads(file.read_text())["architecture"]
    except (OSError, json.JSONDecodeError) as error:
        raise DialError(f"{file} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise DialError(f"{file}: key 'architecture' is missing; this is no DIAL checkpoint, or it was edited") from error


def model_with_weights(folder: Path, part: Part = "whole", dtype: torch.dtype = torch.float32) -> tuple[DialModel, str]:
    """The model of a checkpoint folder, or what one system computes with, in evaluation mode on the CPU; and the id of its weights.

    Args:
        folder: with config.json and model.safetensors.
        part: of the model.
        dtype: of the parameters.

    Raises:
        DialError: tensors that are missing, unexpected or of another shape; the message lists them.
    """
    architecture = architecture_in(folder)
    arch = DialConfig(architecture).arch
    file = TensorFile(folder / "model.safetensors")
    if arch.view_encoder is not None:
        # transformers stores DINOv2's tensors under older names, which its own loader translates; it reads the file by itself.
        return DialModel.from_pretrained(folder, part, dtype=dtype).eval(), file.digest(architecture)
    with no_init_weights(), init_empty_weights(include_buffers=False):  # parameters without memory, rotary tables with values
        model = DialModel(DialConfig(arch), part)
    _require_same_tensors(model, file)
    # All memory first: between the parameters, what converting and checking frees would leave holes.
    for name, parameter in list(model.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        empty = torch.empty(parameter.shape, dtype=dtype)
        setattr(model.get_submodule(owner), leaf, nn.Parameter(empty, parameter.requires_grad))
    stored_id = file.digest(architecture, {name: parameter.data for name, parameter in model.named_parameters()})
    return model.eval(), stored_id


def require_finite_weights(folder: Path, model: DialModel) -> None:
    """Checks every parameter: a run that diverged may have saved NaN, and such weights move a robot anywhere.

    Raises:
        DialError: some are not finite; the message names them.
    """
    if wrong := [name for name, parameter in model.named_parameters() if not _finite(parameter)]:
        raise DialError(
            f"{folder / 'model.safetensors'} holds values that are not finite, in {', '.join(wrong)}; take an earlier checkpoint"
        )


def exact_dtype(tensor: torch.Tensor, preferred: torch.dtype) -> torch.dtype:
    """`preferred` if it represents every value of the tensor, else bfloat16 if that does, else the tensor's own."""
    return next((dtype for dtype in (preferred, torch.bfloat16) if is_exact(tensor, dtype)), tensor.dtype)


def is_exact(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether `dtype` represents every value of the tensor."""
    return all(torch.equal(part.to(dtype).to(part.dtype), part) for part in tensor.reshape(-1).split(CHUNK))


def _finite(parameter: nn.Parameter) -> bool:
    # NaN and infinity survive a sum, which is 15 times as fast. One of finite values may overflow, so only the exact check refuses.
    parts = parameter.data.view(-1).split(CHUNK)
    return all(math.isfinite(part.sum(dtype=torch.float32).item()) or bool(torch.isfinite(part).all()) for part in parts)


def _require_same_tensors(model: DialModel, file: TensorFile) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    stored = {name: file.shape(name) for name in file.names}
    problems = {
        "missing": expected.keys() - stored.keys(),
        "unexpected": {name for name in stored.keys() - expected.keys() if not model.leaves_out(name)},
        "mismatched": {name for name in expected.keys() & stored.keys() if expected[name] != stored[name]},
    }
    listed = [f"{kind}: {', '.join(sorted(names))}" for kind, names in problems.items() if names]
    if listed:
        raise DialError(f"the weights in {file.path.parent} do not fit the model that its config.json describes. {'; '.join(listed)}")
