"""The interface of an exported program: a YAML file beside it that names, orders and scales every input and output.

Its layout is that of LEAPP, NVIDIA's description of exported policies (`models`, `pipeline`, `system information`), so that LEAPP's
readers load a graph of ours from it; keys of our own (`units`, `normalisation`, `dynamic_axes`, `description`, `weights_path`,
`weights_sha256sum`) stand beside theirs. A consumer in another language needs this file, the program and, if it has some, its file of
weights, and nothing of Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.config import Config
from dial_core.files.atomic import write_text
from dial_core.inference.programs import ProgramSpec
from dial_core.inference.quantise import weights_of
from dial_core.robot.embodiment import EEF_DIM, load_embodiment
from dial_core.robot.vector_layout import OURS

LEAPP = "0.7"  # version of the layout
TIME_AXIS = "__temporal_axis__"  # LEAPP's name of an axis of time
SYSTEM2_HZ = 4.0  # default rate of node system2
BACKENDS = {".pt2": "aoti", ".onnx": "onnx", ".engine": "tensorrt"}  # of these, LEAPP itself runs onnx


class Normalisation(Config):
    """How a vector is scaled, element by element: value = (physical - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class TensorInterface(Config):
    """One input or output.

    Attributes:
        name, dtype, shape: as the program has them; of a varying axis the length in the example.
        kind: LEAPP's kind of quantity, or one of ours.
        element_names: names along each axis; None for an axis without names.
        temporal_period_ms: time between the elements of the axis of time.
        dynamic_axes: axis -> its length as a formula, where it varies.
        units: of each element of the last axis before normalisation, or of all of them.
        normalisation: of the last axis; the program's own values are normalised.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    type: str = "tensor"
    kind: str
    description: str
    element_names: tuple[tuple[str, ...] | str | None, ...] | None = None
    temporal_period_ms: float | None = None
    dynamic_axes: dict[int, str] | None = None
    units: tuple[str, ...] | str | None = None
    normalisation: Normalisation | None = None


class ProgramInterface(Config):
    """All inputs and outputs of one program, in the order in which it takes and returns them.

    Attributes:
        name: of the system: system1 or system2.
        frequency: at which the program is called [Hz].
    """

    name: str
    inputs: tuple[TensorInterface, ...]
    outputs: tuple[TensorInterface, ...]
    frequency: float


def interface_of(checkpoint: Checkpoint, spec: ProgramSpec, inputs: Mapping[str, torch.Tensor]) -> ProgramInterface:
    """The interface of a system's program. `inputs`: example tensors by name, in order."""
    described = _system1(checkpoint) if spec.system == 1 else _system2(checkpoint)
    tensors = [
        TensorInterface(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=tuple(tensor.shape), **described[name])
        for name, tensor in inputs.items()
    ]
    contract, arch = checkpoint.contract, checkpoint.model.arch
    foresight = (1, *contract.foresight_shape)
    shapes = {"chunk": (1, contract.horizon, arch.action_dim), "foresight": foresight, "view_tokens": foresight}
    described |= _outputs(checkpoint)
    outputs = [TensorInterface(name=name, dtype="float32", shape=shapes[name], **described[name]) for name in spec.outputs]
    frequency = contract.rate_hz if spec.system == 1 else SYSTEM2_HZ
    return ProgramInterface(name=f"system{spec.system}", inputs=tuple(tensors), outputs=tuple(outputs), frequency=frequency)


def write_interface(file: Path, checkpoint: Checkpoint, spec: ProgramSpec, inputs: Mapping[str, torch.Tensor]) -> Path:
    """Writes the interface of the program in `file` as `<file>.yaml` with the program's suffix replaced; returns its path.

    It holds the hashes of the program and of the weights beside a large one.
    """
    interface = interface_of(checkpoint, spec, inputs)
    sums = {f"{kind}sum": _digest(file, kind) for kind in ("md5", "sha256")}
    parameters = {"backend": BACKENDS[file.suffix], "model_path": file.name, **sums}
    if (weights := weights_of(file)).is_file():  # the graph of a large program names them, and has none of their bytes in its own hash
        parameters |= {"weights_path": weights.name, "weights_sha256sum": _digest(weights, "sha256")}
    name, dump = interface.name, interface.model_dump(exclude_none=True)
    document = {
        "models": {name: {"inputs": dump["inputs"], "outputs": dump["outputs"], "parameters": parameters}},
        "pipeline": {
            "inputs": {name: [tensor.name for tensor in interface.inputs]},
            "outputs": {name: [tensor.name for tensor in interface.outputs]},
            "data_flow": {},
            "feedback_flow": {},
            "configs": {"frequency": interface.frequency},
        },
        "system information": {"leapp version": LEAPP, "torch version": str(torch.__version__), **spec.settings},
    }
    target = file.with_suffix(".yaml")
    write_text(target, yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=140))
    return target


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest()


def _system1(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    contract = checkpoint.contract
    described: dict[str, dict[str, Any]] = {
        "foresight": {"kind": "latent/foresight", "description": "foresight of System-2 of the same checkpoint, as it came"},
        "state": {
            "kind": "state/robot",
            "description": "wrist poses in the base frame and joint positions",
            **_vector(checkpoint, "state"),
        },
    }
    for place, view in enumerate(contract.views):
        described[f"view{place}"] = _image(view.name)
    return described


def _system2(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    tokens = checkpoint.contract.foresight_shape[0]
    words: dict[str, Any] = {"dynamic_axes": {1: "words"}}
    return {
        "pixels": _image(checkpoint.contract.camera),
        "input_ids": {"kind": "text/tokens", "description": "the prompt with its image tokens, by the checkpoint's tokenizer", **words},
        "attention_mask": {"kind": "text/mask", "description": "1 for every token; the prompt has no padding", **words},
        "positions": {
            "kind": "text/positions",
            "description": "of prompt and foresight queries in time, row and column",
            "dynamic_axes": {2: f"words + {tokens}"},
        },
    }


def _outputs(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    contract = checkpoint.contract
    vector = _vector(checkpoint, "action")
    names = vector.pop("element_names", (None, None))
    chunk = {
        "kind": "target/robot",
        "description": "absolute targets; row k is to be reached (k + 1) periods after the observation",
        "temporal_period_ms": 1e3 / contract.rate_hz,
        "element_names": (None, TIME_AXIS, names[1]),
        **vector,
    }
    ahead_s = contract.horizon / contract.rate_hz
    foresight = {"kind": "latent/foresight", "description": f"image tokens expected {ahead_s:g} s after the observation"}
    view = {"kind": "latent/view", "description": "image tokens of the observation, in the same space"}
    return {"chunk": chunk, "foresight": foresight, "view_tokens": view}


def _image(camera: str) -> dict[str, Any]:
    description = f"RGB of camera {camera}, rows from the top, cropped and scaled as contract.json says"
    return {"kind": f"state/camera/{camera}", "description": description, "units": "0..255"}


def _vector(checkpoint: Checkpoint, which: str) -> dict[str, Any]:
    """Names, units and scale of a state or action; of a vector that is encoded otherwise only where that is described."""
    contract, normaliser, arch = checkpoint.contract, checkpoint.normaliser, checkpoint.model.arch
    if contract.layout != OURS or normaliser.state_encoding != "raw":
        return {"units": f"encoded, layout {contract.layout.name}; see contract.json and normalisation.json"}
    width = arch.state_dim if which == "state" else arch.action_dim
    mean, std = (getattr(normaliser, f"{which}_{part}").tolist() for part in ("mean", "std"))
    names = load_embodiment(contract.embodiment).vector_names
    units = ["1" if raw else "m" if place < EEF_DIM else "rad" for place, raw in enumerate(normaliser.raw.tolist())]
    missing = width - len(names)
    return {
        "element_names": (None, (*names, *(f"unused_{place}" for place in range(missing)))),
        "units": (*units, *["1"] * missing),
        "normalisation": Normalisation(mean=(*mean, *[0.0] * missing), std=(*std, *[1.0] * missing)),
    }
