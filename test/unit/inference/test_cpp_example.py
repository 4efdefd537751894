"""The C++ example, compiled without rclcpp against torch's own headers, gives the numbers that Python gives.

pytest -m nightly test/unit/inference/test_cpp_example.py
"""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.inference.compile_program import made_up_observations
from dial_core.inference.export import export_system

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "system1_node.cpp"


@pytest.mark.nightly
def test_the_cpp_example_computes_what_python_computes(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_PROGRAMS", str(tmp_path / "programs"))
    make_random_checkpoint(tmp_path / "checkpoint")
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    file, _ = export_system(checkpoint, 1, "aoti", made_up_observations(checkpoint.contract))
    root, binary = Path(torch.__file__).parent, tmp_path / "system1"
    includes = [f"-I{root / 'include'}", f"-I{root / 'include' / 'torch' / 'csrc' / 'api' / 'include'}"]
    libraries = [f"-L{root / 'lib'}", "-ltorch", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{root / 'lib'}"]
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, "-std=c++20", "-DWITHOUT_RCLCPP", str(EXAMPLE), "-o", str(binary), *includes, *libraries], check=True)
    rows, columns, total = subprocess.run([binary, file], check=True, capture_output=True, text=True).stdout.split()
    with torch.inference_mode():
        inputs = torch.zeros(1, 36, 192), torch.zeros(1, 47), torch.zeros(1, 96, 96, 3, dtype=torch.uint8)
        chunk = torch._inductor.aoti_load_package(str(file))(*inputs)[0]
    assert (int(rows), int(columns)) == tuple(chunk.shape[1:])
    assert float(total) == pytest.approx(float(chunk.abs().sum()), rel=1e-4)
