"""TensorRT engines: named after the GPU and the TensorRT version that they were built for, built from a typed graph, and called.

An engine holds kernels that were chosen and timed on one GPU by one version of the builder. It is neither portable nor checked when
it is loaded elsewhere, so its name says where it belongs.

Networks are strongly typed: every product has the precision that the graph gives it (`typed_graph`). TensorRT 11 knows no other
networks; in TensorRT 10 a flag asks for them.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from dial_core.errors import DialError

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Smallest, usual and largest shape of an input."""
WORKSPACE_BYTES = 4 << 30  # for intermediate results while kernels are timed; less can rule out fast ones
INSTALL = "`pip install tensorrt`, or NVIDIA's JetPack on a Jetson"


def engine_machine(gpu: int | None = None) -> str:
    """GPU and TensorRT version as a part of a file name: `NVIDIA-H100-PCIe-trt10.13.3.9`. `gpu`: its index; None: the current one.

    Raises:
        DialError: no NVIDIA GPU, or no TensorRT.
    """
    if reason := why_no_engine():
        raise DialError(f"TensorRT engines cannot be built or run here: {reason}")
    name = re.sub(r"[^A-Za-z0-9]+", "-", torch.cuda.get_device_name(gpu)).strip("-")
    return f"{name}-trt{_tensorrt().__version__}"


def why_no_engine() -> str:
    """Why engines can be neither built nor run on this machine; empty if they can."""
    if not torch.cuda.is_available():
        return "there is no NVIDIA GPU"
    try:
        _tensorrt()
    except DialError as error:
        return str(error)
    return ""


def build_engine(graph: Path, shapes: Mapping[str, Shapes], file: Path) -> None:
    """Writes the engine of a typed graph for this machine's GPU.

    Args:
        graph: ONNX, with external data beside it if it is large.
        shapes: of the inputs whose shape varies.
        file: of the engine.

    Raises:
        DialError: TensorRT cannot parse the graph or finds no implementation.
    """
    trt = _tensorrt()
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(_typed_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        reasons = "; ".join(parser.get_error(place).desc() for place in range(parser.num_errors))
        raise DialError(f"TensorRT {trt.__version__} cannot parse {graph}: {reasons}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if shapes:
        profile = builder.create_optimization_profile()
        for name, (smallest, usual, largest) in shapes.items():
            profile.set_shape(name, smallest, usual, largest)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise DialError(f"TensorRT {trt.__version__} cannot build an engine of {graph}; its own messages above give the reason")
    file.write_bytes(memoryview(plan))


def open_engine(
    file: Path, inputs: Sequence[str], outputs: Sequence[str], gpu: int | None = None
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Loads an engine, to be called with the CUDA tensors that `inputs` names. `gpu`: index of theirs; None: the current one.

    Raises:
        DialError: TensorRT refuses the file.
    """
    trt = _tensorrt()
    if not file.stat().st_size:
        raise DialError(f"{file} is empty; delete it and export again")
    with nullcontext() if gpu is None else torch.cuda.device(gpu):  # where the engine, its context and its stream are made
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        # Any buffer will do, read-only ones too, and an engine keeps nothing of it. Pages of a mapped file can be dropped at any time; the
        # stream readers of TensorRT before 10.9 hold the whole file (NVIDIA/TensorRT issue 4327).
        with file.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as plan:
            engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise DialError(f"TensorRT {trt.__version__} refuses {file}; delete it and export again")
        return _Engine(trt, runtime, engine, inputs, outputs)


def trtexec_command(graph: Path, shapes: Mapping[str, Shapes]) -> str:
    """The command that builds the same engine without Python, for a robot's computer that has TensorRT only."""
    words = ["trtexec", f"--onnx={graph}", "--stronglyTyped", f"--saveEngine={graph.with_suffix('.engine')}"]
    for option, place in (("minShapes", 0), ("optShapes", 1), ("maxShapes", 2)):
        if shapes:
            words.append(f"--{option}=" + ",".join(f"{name}:{'x'.join(map(str, triple[place]))}" for name, triple in shapes.items()))
    return " ".join(words)


class _Engine:
    """An engine with its execution context and output buffers."""

    def __init__(self, trt: Any, runtime: Any, engine: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._runtime, self._engine = runtime, engine  # must outlive the context
        self._context = engine.create_execution_context()
        self._inputs, self._outputs = list(inputs), list(outputs)
        names = {engine.get_tensor_name(place) for place in range(engine.num_io_tensors)}
        if missing := [name for name in self._outputs if name not in names]:
            raise DialError(f"the engine has no output {', '.join(missing)}; its tensors: {', '.join(sorted(names))}")
        self._read = names  # inputs that no output depends on were removed
        self._stream = torch.cuda.Stream()
        types = {trt.float32: torch.float32, trt.float16: torch.float16, trt.bfloat16: torch.bfloat16}
        self._types = {name: types[engine.get_tensor_dtype(name)] for name in self._outputs}

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs, on the GPU of the inputs; the caller's stream waits for them."""
        with torch.cuda.device(tensors[0].device):
            return self._run(*tensors)

    def _run(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = {name: tensor.contiguous() for name, tensor in zip(self._inputs, tensors, strict=True) if name in self._read}
        for name, tensor in given.items():
            if not self._context.set_input_shape(name, tuple(tensor.shape)):
                raise DialError(f"the engine was not built for input {name} of shape {tuple(tensor.shape)}")
            self._context.set_tensor_address(name, tensor.data_ptr())
        results = []
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            results.append(torch.empty(shape, dtype=self._types[name], device=tensors[0].device))
            self._context.set_tensor_address(name, results[-1].data_ptr())
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise DialError("the TensorRT engine failed; its own messages above give the reason")
        current.wait_stream(self._stream)
        for tensor in (*given.values(), *results):
            tensor.record_stream(self._stream)  # memory is not given to others before the engine has done with it
        return tuple(results)


def _typed_network_flags(trt: Any) -> int:
    """The creation flag of strongly typed networks in TensorRT 10; later versions have dropped it or ignore it."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise DialError(f"the package tensorrt is missing; {INSTALL}") from error
    return tensorrt
