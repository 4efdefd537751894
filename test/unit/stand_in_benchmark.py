"""A configuration with one more benchmark, `stand_in`: the original's, with the stand-in as its environments."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from dial_core.config import config_root
from dial_core.evaluation.closed_loop.benchmark import Benchmark, load_benchmark

STAND_IN = Path(__file__).parent / "evaluation" / "closed_loop" / "stand_in_environment.py"


@contextmanager
def stand_in_benchmark(folder: Path, monkeypatch, tasks: list[str], **changes) -> Iterator[Benchmark]:
    """The benchmark with the suite `stand_in` of `tasks`, served by this interpreter; `changes` replace values of the original's YAML."""
    root, original = folder / "config", config_root()
    (root / "benchmarks").mkdir(parents=True)
    for kind in original.iterdir():
        if kind.name != "benchmarks":
            (root / kind.name).symlink_to(kind)
    values = yaml.safe_load((original / "benchmarks" / "robocasa_gr1.yaml").read_text())
    values |= {"modules": [str(STAND_IN)], "id": "stand_in/{task}", "suites": {"stand_in": [{"pattern": "{}", "of": tasks}]}}
    values |= {"installation": {"name": "stand_in", "packages": [], "reported": ["gymnasium", "numpy"]}} | changes
    (root / "benchmarks" / "stand_in.yaml").write_text(yaml.safe_dump(values))
    # A symbolic link to a venv's python would not find the venv's packages.
    python = folder / "environments" / "stand_in" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("DIAL_CONFIG_ROOT", str(root))
    monkeypatch.setenv("DIAL_ENVIRONMENTS", str(folder / "environments"))
    load_benchmark.cache_clear()
    yield load_benchmark("stand_in")
    load_benchmark.cache_clear()
