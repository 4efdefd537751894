"""Exported programs of both systems: where they are kept, what they were made for, and how a session opens them.

A program is one frozen computation, compiled (`aoti`, by AOTInductor for this processor) or as a graph (`onnx`, for ONNX Runtime).
`dial export` makes them; a session asked for one refuses a program of other weights, settings, code or processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import torch

import dial_core
from dial_core.errors import DialError

Runtime = Literal["eager", "aoti", "onnx"]
"""How a session computes: by the model itself, by a program of AOTInductor, or by ONNX Runtime."""

RUNTIMES: tuple[str, ...] = get_args(Runtime)
SUFFIX = {"aoti": ".pt2", "onnx": ".onnx"}
INPUTS = {1: ("foresight", "state"), 2: ("pixels", "input_ids", "attention_mask", "positions")}  # System-1: and every camera's view
Program = Callable[..., tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class ProgramSpec:
    """Which program is meant.

    Attributes:
        system: 1 or 2.
        runtime: `aoti` or `onnx`.
        model_id: of the checkpoint.
        cameras: images that the program takes.
        flow_steps, noise_seed, slot: of System-1, whose whole Euler loop is in the program; 0 for System-2.
    """

    system: int
    runtime: Runtime
    model_id: str
    cameras: int = 1
    flow_steps: int = 0
    noise_seed: int = 0
    slot: int = 0

    @property
    def file(self) -> Path:
        """Where the program is kept; its card is the `.json` beside it."""
        part = f"-flow{self.flow_steps}-noise{self.noise_seed}-slot{self.slot}" if self.system == 1 else ""
        return programs_folder() / self.model_id / f"system{self.system}-{self.runtime}{part}{SUFFIX[self.runtime]}"

    @property
    def facts(self) -> dict[str, Any]:
        """What the program depends on: all of the above, the model's code, and for compiled ones torch and the processor."""
        facts: dict[str, Any] = {"system": self.system, "runtime": self.runtime, "model_id": self.model_id, "cameras": self.cameras}
        facts |= {"flow_steps": self.flow_steps, "noise_seed": self.noise_seed, "slot": self.slot, "code": model_code()}
        if self.runtime == "aoti":
            facts |= {"torch": torch.__version__, "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"}
        return facts

    @property
    def inputs(self) -> list[str]:
        """Names of the program's inputs, in order."""
        views = [f"view{place}" for place in range(self.cameras)] if self.system == 1 else []
        return [*INPUTS[self.system], *views]


def programs_folder() -> Path:
    """The folder that exported programs are kept in: `DIAL_PROGRAMS`, or `dial/programs` in the user's cache."""
    if chosen := os.environ.get("DIAL_PROGRAMS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dial" / "programs"


def require_runtime(runtime: str, device: torch.device) -> None:
    """Checks that a runtime exists and computes on the device.

    Raises:
        DialError: it does not.
    """
    if runtime not in RUNTIMES:
        raise DialError(f"unknown runtime '{runtime}'; runtimes: {', '.join(RUNTIMES)}")
    if runtime != "eager" and device.type != "cpu":
        raise DialError(f"exported programs run on the CPU so far, not on {device}; use runtime eager there, which captures CUDA graphs")


def open_program(spec: ProgramSpec) -> Program:
    """The program, ready to be called with the tensors that `spec.inputs` names.

    Raises:
        DialError: there is none, or it was made for something else; the message says how to make it.
    """
    card = spec.file.with_suffix(".json")
    flow = f" --flow-steps {spec.flow_steps} --noise-seed {spec.noise_seed}" if spec.system == 1 else ""
    remedy = f"make it with `dial export CHECKPOINT --system {spec.system} --format {spec.runtime}{flow}`"
    if not (spec.file.is_file() and card.is_file()):
        raise DialError(f"no exported program {spec.file}; {remedy}")
    try:
        made_for = json.loads(card.read_text())["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise DialError(f"{card} cannot be read: {error!r}; {remedy}") from error
    differing = [f"{key} is {made_for.get(key)}, expected {value}" for key, value in spec.facts.items() if made_for.get(key) != value]
    if differing:
        raise DialError(f"{spec.file} was made for something else: {'; '.join(differing)}; {remedy}")
    return _open_aoti(spec.file) if spec.runtime == "aoti" else _open_onnx(spec)


def _open_aoti(file: Path) -> Program:
    loaded = torch._inductor.aoti_load_package(str(file))
    return lambda *inputs: _as_tuple(loaded(*inputs))


def _open_onnx(spec: ProgramSpec) -> Program:
    try:
        import onnxruntime
    except ImportError as error:
        raise DialError("runtime onnx needs ONNX Runtime: `pip install onnxruntime`") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(spec.file), options, providers=["CPUExecutionProvider"])
    read = {node.name for node in session.get_inputs()}  # what the graph does not depend on is no input of it

    def program(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        named = dict(zip(spec.inputs, inputs, strict=True))
        outputs = session.run(None, {name: tensor.numpy() for name, tensor in named.items() if name in read})
        return tuple(torch.from_numpy(output) for output in outputs)

    return program


def _as_tuple(outputs: torch.Tensor | Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)


@cache
def model_code() -> str:
    """12 hex digits of the source files that a program was traced from."""
    digest = hashlib.sha256()
    package = Path(dial_core.__file__).parent
    for path in [*sorted((package / "model").glob("*.py")), package / "inference" / "sessions.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
