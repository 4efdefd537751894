"""Exported programs of both systems: where they are stored, what they depend on, and how a session opens them.

A program is one frozen computation: compiled for this processor (`aoti`, by AOTInductor), a graph for ONNX Runtime (`onnx` in
float32, `int8` with quantised weights), or an engine for this GPU (`tensorrt-bf16` and so on). `dial export` makes them; a session
refuses a program of other weights, settings, code, processor or GPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

import dial_core
from dial_core.errors import DialError
from dial_core.inference.tensorrt_engine import engine_machine, open_engine
from dial_core.model.flow_matching import NO_NOISE

Runtime = Literal["auto", "eager", "aoti", "onnx", "int8", "tensorrt-bf16", "tensorrt-fp16", "tensorrt-fp8"]
"""How a session computes: by the model itself (`eager`), or by a program of AOTInductor, ONNX Runtime (`onnx`, `int8`) or TensorRT.

`auto` on a CPU is `aoti` if that program exists; if not, `eager` while it is compiled in the background (`first_use`).
"""

RUNTIMES: tuple[str, ...] = get_args(Runtime)
FORMATS: tuple[str, ...] = ("aoti", "onnx", "int8")
SUFFIX = {"aoti": ".pt2", "onnx": ".onnx", "int8": ".onnx"}
TENSORRT = "tensorrt-"  # begins the runtimes of engines; their precision follows
ALIASES = {"exported": "aoti", "tensorrt": "tensorrt-bf16"}
INPUTS = {1: ("foresight", "state"), 2: ("pixels", "input_ids", "attention_mask", "positions")}  # System-1: and every camera's view
OUTPUTS = {1: ("chunk",), 2: ("foresight", "view_tokens")}  # `view` would be the name of an operation inside
TRACED_BY = (
    "system1_session.py",
    "system2_session.py",
    "export.py",
    "typed_graph.py",
    "quantise.py",
)  # what else in this package determines a program
CPUINFO = Path("/proc/cpuinfo")
COMPILED_FOR = ("vendor_id", "cpu family", "model", "flags", "CPU implementer", "CPU part", "CPU variant", "Features", "isa")  # lines of it
Program = Callable[..., tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class ProgramSpec:
    """Identifies a program.

    Attributes:
        system: 1 or 2.
        runtime: that of the program, neither `auto` nor `eager`.
        model_id: of the checkpoint.
        cameras: number of images that the program takes.
        flow_steps, noise_seed, slot: of System-1, whose program contains the whole Euler loop; 0 for System-2.
        gpu: index of the GPU that an engine runs on; None: the current one.
    """

    system: int
    runtime: Runtime
    model_id: str
    cameras: int = 1
    flow_steps: int = 0
    noise_seed: int = 0
    slot: int = 0
    gpu: int | None = None

    @property
    def file(self) -> Path:
        """Path of the program; beside it lie its card (`.json`) and its interface (`.yaml`).

        Raises:
            DialError: of an engine, whose name holds GPU and TensorRT version: there is no GPU or no TensorRT here.
        """
        if self.precision:
            return self.folder / f"{self._name}-{engine_machine(self.gpu)}.engine"
        return self.folder / f"{self._name}{SUFFIX[self.runtime]}"

    @property
    def graph(self) -> Path:
        """Path of the graph that an engine is built from, on any machine."""
        return self.folder / f"{self._name}.onnx"

    @property
    def engines(self) -> list[Path]:
        """Engines of this program for any GPU and TensorRT version."""
        return sorted(self.folder.glob(f"{self._name}-*.engine"))

    @property
    def folder(self) -> Path:
        """Folder of all programs of the checkpoint."""
        return programs_folder() / self.model_id

    @property
    def precision(self) -> str:
        """Precision of an engine's products: bf16, fp16 or fp8; empty for other programs."""
        return self.runtime.removeprefix(TENSORRT) if self.runtime.startswith(TENSORRT) else ""

    @property
    def _name(self) -> str:
        start = "mean" if self.noise_seed == NO_NOISE else f"noise{self.noise_seed}"
        part = f"-flow{self.flow_steps}-{start}-slot{self.slot}" if self.system == 1 else ""
        return f"system{self.system}-{self.runtime}{part}"

    @property
    def settings(self) -> dict[str, Any]:
        """What the program depends on wherever it is made: the attributes, the model's code and that of transformers."""
        settings: dict[str, Any] = {"system": self.system, "runtime": self.runtime, "model_id": self.model_id, "cameras": self.cameras}
        settings |= {"flow_steps": self.flow_steps, "noise_seed": self.noise_seed, "slot": self.slot}
        return settings | {"code": model_code(), "transformers": version("transformers")}

    @property
    def facts(self) -> dict[str, Any]:
        """What the program depends on: its settings and, where it was made for one machine, torch, processor or GPU."""
        facts = self.settings
        if self.runtime == "aoti":
            facts |= {"torch": torch.__version__, "processor": processor()}
        if self.runtime == "int8":
            facts |= {"weight_bits": int8_weight_bits()}
        if self.precision:
            facts |= {"machine": engine_machine(self.gpu)}
        return facts

    @property
    def inputs(self) -> list[str]:
        """Names of the program's inputs, in order."""
        views = [f"view{place}" for place in range(self.cameras)] if self.system == 1 else []
        return [*INPUTS[self.system], *views]

    @property
    def outputs(self) -> list[str]:
        """Names of the program's outputs, in order."""
        return [*OUTPUTS[self.system]]


def processor() -> str:
    """Architecture, vector instructions, and 8 hex digits of all else that a compilation for this processor (`-march=native`) depends on.

    A program that was compiled on another one may use instructions that this one lacks, which ends the process.
    """
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        lines = [platform.processor()]
    kinds = sorted({line for line in lines if line.partition(":")[0].strip() in COMPILED_FOR})  # cores may differ
    digest = hashlib.sha256("\n".join(kinds or lines[:1]).encode()).hexdigest()[:8]
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {digest}"


def int8_weight_bits() -> int:
    """8, or 7 on a processor without VNNI, whose 8-bit products saturate in 16 bits."""
    return 8 if torch.cpu._is_vnni_supported() else 7


def programs_folder() -> Path:
    """The folder of all exported programs: `DIAL_PROGRAMS`, or `dial/programs` in the user's cache."""
    if chosen := os.environ.get("DIAL_PROGRAMS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dial" / "programs"


def runtime_for(name: str, device: torch.device) -> Runtime:
    """The runtime of this name (`exported` is `aoti`) on a device; `auto` is `eager` on everything but a CPU.

    Raises:
        DialError: unknown name, or an exported program on a device that it does not run on.
    """
    name = ALIASES.get(name, name)
    if name not in RUNTIMES:
        raise DialError(f"unknown runtime '{name}'; runtimes: {', '.join([*RUNTIMES, *ALIASES])}")
    if name.startswith(TENSORRT):
        if device.type != "cuda":
            raise DialError(f"runtime {name} runs on an NVIDIA GPU only, not on {device}; set device cuda, or use runtime aoti on a CPU")
        return cast("Runtime", name)
    if device.type != "cpu":
        if name not in ("auto", "eager"):
            raise DialError(f"runtime {name} runs on the CPU only, not on {device}; use runtime eager there, which captures CUDA graphs")
        return "eager"
    return cast("Runtime", name)


def open_program(spec: ProgramSpec) -> Program:
    """Loads a program, to be called with the tensors that `spec.inputs` names.

    Raises:
        DialError: it does not exist, was made for something else, or is damaged; the message gives the command that makes it.
    """
    card = spec.file.with_suffix(".json")
    remedy = f"make it with `{_command(spec)}`"
    if not (spec.file.is_file() and card.is_file()):
        elsewhere = ", ".join(path.name for path in spec.engines) if spec.precision else ""
        reason = f" (an engine runs only on the GPU and TensorRT version in its name; there are {elsewhere})" if elsewhere else ""
        raise DialError(f"no exported program {spec.file}{reason}; {remedy}")
    try:
        made_for = json.loads(card.read_text())["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise DialError(f"{card} cannot be read: {error!r}; {remedy}") from error
    differing = [f"{key} is {made_for.get(key)}, expected {value}" for key, value in spec.facts.items() if made_for.get(key) != value]
    if differing:
        raise DialError(f"{spec.file} was made for something else: {'; '.join(differing)}; {remedy}")
    try:
        return load_program(spec, spec.file)
    except DialError:
        raise
    except Exception as error:  # what a damaged program raises is the library's choice
        raise DialError(f"{spec.file} cannot be loaded: {error}; {remedy}") from error


def load_program(spec: ProgramSpec, file: Path) -> Program:
    """Loads the program of `spec` from a file, whatever its card says."""
    if spec.precision:
        return open_engine(file, spec.inputs, spec.outputs, spec.gpu)
    return _open_aoti(file) if spec.runtime == "aoti" else open_onnx(file, spec.inputs)


def _command(spec: ProgramSpec) -> str:
    """The `dial export` command that makes a program; int8 programs come in pairs, as their gate runs both."""
    what = "--precision int8" if spec.runtime == "int8" else f"--system {spec.system} --format {spec.runtime}"
    if spec.precision:
        what = f"--system {spec.system} --format tensorrt --precision {spec.precision}"
    flow = f" --flow-steps {spec.flow_steps} --noise-seed {spec.noise_seed}" if spec.system == 1 else ""
    return f"dial export CHECKPOINT {what}{flow}"


def _open_aoti(file: Path) -> Program:
    loaded = torch._inductor.aoti_load_package(str(file))
    return lambda *inputs: _as_tuple(loaded(*inputs))


def open_onnx(file: Path, inputs: Sequence[str], exactly: bool = False) -> Program:
    """Loads a graph into ONNX Runtime, to be called with the tensors that `inputs` names.

    Args:
        exactly: without ONNX Runtime's rewriting, which removes casts there and back, and the ReLU before a conversion to fp8.

    Raises:
        DialError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise DialError(f"{file.name} needs ONNX Runtime: `pip install onnxruntime`") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    if exactly:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    read = {node.name for node in session.get_inputs()}  # inputs that no output depends on were removed

    def program(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        named = dict(zip(inputs, tensors, strict=True))
        outputs = session.run(None, {name: tensor.numpy() for name, tensor in named.items() if name in read})
        return tuple(torch.from_numpy(output) for output in outputs)

    return program


def _as_tuple(outputs: torch.Tensor | Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return (outputs,) if isinstance(outputs, torch.Tensor) else tuple(outputs)


@cache
def model_code() -> str:
    """12 hex digits of the hash of the source files that programs are traced from, and by."""
    digest = hashlib.sha256()
    package = Path(dial_core.__file__).parent
    for path in [*sorted((package / "model").glob("*.py")), *(package / "inference" / name for name in TRACED_BY)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
