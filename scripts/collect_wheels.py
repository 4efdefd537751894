#!/usr/bin/env python3
"""Collects the wheels that the model needs beside torch, for a GPU machine without a network.

    .venv/bin/python scripts/collect_wheels.py wheels --python 3.12
    # there, with torch installed:
    pip install --no-index --no-deps --target site wheels/*.whl
    PYTHONPATH=site:. python -m dial_core.cli bench gpu

The versions are those of this environment; torch, its CUDA libraries and everything of ROS stay out.
"""

import argparse
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOTS = (
    "transformers",
    "accelerate",
    "safetensors",
    "tokenizers",
    "numpy",
    "scipy",
    "pydantic",
    "PyYAML",
    "typer",
    "rich",
    "tensorboard",
    "matplotlib",
)
LEFT_OUT = ("torch", "triton", "nvidia", "cuda")
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")


def needed(roots: tuple[str, ...], python: str) -> dict[str, str]:
    """Name -> version of `roots` and all they require, for a Linux machine with that Python."""
    found: dict[str, str] = {}
    left = list(roots)
    while left:
        name = canonicalize_name(left.pop())
        if name in found or name.startswith(LEFT_OUT):
            continue
        package = distribution(name)
        found[name] = package.version
        environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "extra": ""}
        for line in package.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                left.append(requirement.name)
    return dict(sorted(found.items()))


def main() -> int:
    """Downloads the wheels; the exit status is pip's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="the other machine's version")
    parser.add_argument("--machine", default="x86_64", help="what `uname -m` prints there")
    parser.add_argument("--list", action="store_true", help="print the packages and download nothing")
    arguments = parser.parse_args()
    pins = [f"{name}=={version}" for name, version in needed(ROOTS, arguments.python).items()]
    if arguments.list:
        print("\n".join(pins))
        return 0
    platforms = [option for name in PLATFORMS for option in ("--platform", f"{name}_{arguments.machine}")]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version", arguments.python]
    return subprocess.run([*command, *platforms, "-d", str(arguments.folder), *pins], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
