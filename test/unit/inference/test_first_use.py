"""Runtime `auto`: eager until the program has been compiled, and for good where it cannot be.

pytest test/unit/inference/test_first_use.py
"""

import json
import threading
import weakref

import numpy as np
import pytest
import torch
import transformers
from torch._inductor.exc import InvalidCxxCompiler

from dial_core.checkpoint.checkpoint import make_random_checkpoint
from dial_core.errors import DialError
from dial_core.files.atomic import write_json
from dial_core.inference import first_use
from dial_core.inference import programs as programs_module
from dial_core.inference.compile_program import made_up_observations, main
from dial_core.inference.cuda_graph import Captured
from dial_core.inference.first_use import EagerUntilCompiled, failure_file
from dial_core.inference.programs import ProgramSpec, runtime_for
from dial_core.inference.system1_session import System1Session

SPEC = ProgramSpec(1, "aoti", "0123456789abcdef", 1, 4, 0)


@pytest.fixture(autouse=True)
def programs(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_PROGRAMS", str(tmp_path / "programs"))
    monkeypatch.setenv("DIAL_COMPILE", "1")
    return tmp_path / "programs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("first_use") / "checkpoint"
    make_random_checkpoint(path)
    return path


@pytest.fixture
def compiled_with(monkeypatch):
    """Replaces the compiler's process; returns the list of what was compiled."""
    calls = []

    def compile_(spec, checkpoint):
        calls.append((spec, checkpoint))
        return "g++: out of memory"

    monkeypatch.setattr(first_use, "compile_in_background", compile_)
    return calls


def eager(*inputs):
    return ("eager", *inputs)


def test_calls_go_to_the_model_until_the_program_is_there_and_then_to_the_program(tmp_path, monkeypatch):
    compiling, reports, warmed = threading.Event(), [], []

    def compile_(spec, checkpoint):
        assert compiling.wait(10)
        return ""

    def program(*inputs):
        warmed.append(inputs)
        return ("program", *inputs)

    monkeypatch.setattr(first_use, "open_program", lambda spec: program)
    function = EagerUntilCompiled(eager, SPEC, tmp_path, reports.append, compile_)
    assert function(1, 2) == ("eager", 1, 2)
    assert reports == []
    compiling.set()
    function.compilation.thread.join(10)
    assert warmed == [(1, 2)]  # its first call, on the last inputs, is not the robot's
    assert function(3) == ("program", 3)
    assert reports == [f"System-1 now runs its compiled program, {SPEC.file}"]


def test_sessions_of_one_program_wait_for_one_compilation_and_one_that_is_gone_is_not_kept(tmp_path, monkeypatch):
    compiling, compiled, reports = threading.Event(), [], []

    def compile_(spec, checkpoint):
        compiled.append(spec)
        assert compiling.wait(10)
        return ""

    monkeypatch.setattr(first_use, "open_program", lambda spec: lambda *inputs: ("program", *inputs))
    first, second = (EagerUntilCompiled(eager, SPEC, tmp_path, reports.append, compile_) for _ in range(2))
    gone = weakref.ref(first)
    del first
    assert gone() is None, "a cleaned up node's model stays in memory"
    compiling.set()
    second.compilation.thread.join(10)
    assert compiled == [SPEC]
    assert second(1) == ("program", 1)
    assert len(reports) == 1


def test_a_failed_compilation_is_recorded_and_the_model_continues(tmp_path):
    reports = []
    function = EagerUntilCompiled(eager, SPEC, tmp_path, reports.append, lambda spec, checkpoint: "g++: out of memory")
    function.compilation.thread.join(10)
    assert function(1) == ("eager", 1)
    assert json.loads(failure_file(SPEC).read_text()) == {"facts": SPEC.facts, "why": "g++: out of memory"}
    assert len(reports) == 1
    assert "could not be compiled and runs eagerly: g++: out of memory" in reports[0]


def test_a_session_compiles_its_own_program_once_and_after_a_failure_no_more(folder, compiled_with):
    reports = []
    first = System1Session.from_checkpoint(folder, flow_steps=2, runtime="auto", report=reports.append)
    first._act.compilation.thread.join(10)
    assert [(spec.flow_steps, checkpoint) for spec, checkpoint in compiled_with] == [(2, folder)]
    assert "is being compiled for this processor in the background" in reports[0]
    again = System1Session.from_checkpoint(folder, flow_steps=2, runtime="auto", report=reports.append)
    assert isinstance(again._act, Captured)
    assert len(compiled_with) == 1
    assert "compiling failed before (g++: out of memory); delete" in reports[-1]


def test_without_a_compiler_the_session_stays_eager_and_says_so_once(folder, compiled_with, monkeypatch):

    def no_compiler():
        raise InvalidCxxCompiler

    monkeypatch.setattr("torch._inductor.cpp_builder.get_cpp_compiler", no_compiler)
    reports = []
    session = System1Session.from_checkpoint(folder, runtime="auto", report=reports.append)
    observation = made_up_observations(session.contract)[0]
    for _ in range(2):
        session.chunk(observation.images, np.zeros(session.contract.foresight_shape, np.float32), observation.state)
    assert reports == ["System-1 runs eagerly: there is no C++ compiler; install g++, and its program is compiled at the next start"]
    assert compiled_with == []


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("flags\t\t: fpu avx512f avx512_vnni avx512_bf16", "flags\t\t: fpu avx512f avx512_vnni"),
        ("model\t\t: 17", "model\t\t: 1"),
        ("CPU part\t: 0xd4f", "CPU part\t: 0xd0c"),
    ],
)
def test_a_compiled_program_belongs_to_one_processor_and_one_version_of_what_it_was_traced_from(tmp_path, monkeypatch, there, here):
    facts = []
    for text in (f"cpu MHz\t\t: 2596\n{there}\n", f"cpu MHz\t\t: 1500\n{there}\n", f"cpu MHz\t\t: 2596\n{here}\n"):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(programs_module, "CPUINFO", tmp_path / "cpuinfo")
        facts.append(SPEC.facts)
    assert facts[0] == facts[1]
    assert facts[0]["processor"] != facts[2]["processor"]
    assert facts[0]["transformers"] == transformers.__version__


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_a_damaged_program_is_made_again_and_the_model_computes_meanwhile(folder, compiled_with, content):
    spec = System1Session.from_checkpoint(folder).spec("aoti")
    spec.folder.mkdir(parents=True)
    spec.file.write_bytes(content)
    write_json(spec.file.with_suffix(".json"), {"facts": spec.facts})
    with pytest.raises(DialError, match=r"pt2 cannot be loaded: .*make it with `dial export CHECKPOINT --system 1 --format aoti"):
        System1Session.from_checkpoint(folder, runtime="aoti")
    session = System1Session.from_checkpoint(folder, runtime="auto", report=lambda text: None)
    session._act.compilation.thread.join(10)
    assert [made for made, _ in compiled_with] == [spec]


def test_a_compiled_program_that_fails_at_its_first_call_is_reported_and_the_model_continues(tmp_path, monkeypatch):
    compiling, reports = threading.Event(), []

    def compile_(spec, checkpoint):
        assert compiling.wait(10)
        return ""

    def program(*inputs):
        raise RuntimeError("run_func_( ... ) API call failed")

    monkeypatch.setattr(first_use, "open_program", lambda spec: program)
    function = EagerUntilCompiled(eager, SPEC, tmp_path, reports.append, compile_)
    function(1)
    compiling.set()
    function.compilation.thread.join(10)
    assert function(2) == ("eager", 2)
    assert reports == ["System-1 could not be compiled and runs eagerly: run_func_( ... ) API call failed"]


@pytest.mark.parametrize("why", ["switched off", "large", "without a folder"])
def test_nothing_is_compiled_unasked(folder, compiled_with, monkeypatch, why):
    if why == "switched off":
        monkeypatch.setenv("DIAL_COMPILE", "0")
    if why == "large":
        monkeypatch.setattr(first_use, "LARGEST", 1000)
    session = System1Session.from_checkpoint(folder)
    session.runtime = "auto"
    function = first_use.computation(session, session._act, None if why == "without a folder" else folder, pytest.fail)
    assert function is session._act
    assert compiled_with == []


def test_auto_is_eager_on_a_gpu():
    assert runtime_for("auto", torch.device("cuda")) == "eager"
    assert runtime_for("exported", torch.device("cpu")) == "aoti"


@pytest.mark.slow
def test_the_process_compiles_the_program_that_the_session_then_runs(folder, monkeypatch):
    monkeypatch.setattr("dial_core.inference.compile_program.only_idle_time", lambda: None)  # of this process
    assert main([str(folder), "1", "1", "-1"]) == 0
    session = System1Session.from_checkpoint(folder, flow_steps=1, runtime="auto", report=pytest.fail)
    assert not isinstance(session._act, Captured | EagerUntilCompiled)
    monkeypatch.setattr("dial_core.inference.compile_program.export_system", pytest.fail)
    assert main([str(folder), "1", "1", "-1"]) == 0  # another process finds it
