"""The wire contract explains itself: every field of msg/ and srv/ has a comment, and every number its unit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INTERFACES = sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")])
NUMBER = re.compile(r"^(float|u?int)(16|32|64)")


def fields(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "---"))]


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.name)
def test_every_field_is_explained(path):
    assert path.read_text().startswith("# "), "what the message is for comes first"
    bare = [line for line in fields(path) if "#" not in line]
    assert bare == []


@pytest.mark.parametrize("path", INTERFACES, ids=lambda p: p.name)
def test_every_number_has_a_unit(path):
    without = [line for line in fields(path) if NUMBER.match(line) and not re.search(r"# \[\S+\]", line)]
    assert without == []


def test_cmake_generates_every_interface():
    listed = set(re.findall(r"(?:msg|srv)/\w+\.(?:msg|srv)", (ROOT / "CMakeLists.txt").read_text()))
    assert listed == {str(path.relative_to(ROOT)) for path in INTERFACES}


@pytest.mark.skipif(not (Path(sys.prefix) / "share/ament_cmake").exists(), reason="this Python is no ROS prefix")
@pytest.mark.parametrize("wanted", ["ON", "OFF"])
def test_cpp_interfaces_are_an_option_apart_from_the_python_packages(tmp_path, wanted):
    prefix = f"-DCMAKE_PREFIX_PATH={sys.prefix}", f"-DCMAKE_INSTALL_PREFIX={sys.prefix}"  # nothing is installed
    options = *prefix, f"-DPython3_EXECUTABLE={sys.executable}", "-DBUILD_TESTING=OFF", "-DDIAL_INSTALL_PYTHON=OFF"
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path), "-G", "Ninja", *options, f"-DDIAL_CPP_INTERFACES={wanted}"]
    environment = os.environ | {"AMENT_PREFIX_PATH": sys.prefix}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    build = (tmp_path / "build.ninja").read_text()
    assert "rosidl_generator_c/dial_ros/msg/instruction.h" in build
    assert ("rosidl_generator_cpp/dial_ros/msg/instruction.hpp" in build) == (wanted == "ON")
