"""The converter on a robot's small computer: neither torch nor a simulator is imported, and it starts at once."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dial_core.bags.synthetic import record

from ..importers.source_files import write_gr00t_set

ROOT = Path(__file__).parents[3]
HEAVY = (
    "torch", "transformers", "tokenizers", "safetensors", "accelerate", "sklearn",
    "mujoco", "mink", "gymnasium", "nicegui", "rclpy", "ray",
)  # fmt: skip
MODULES = 700  # 580 are numpy, typer with rich, and the commands' own; every processor takes its own time for them
CODE = """
import sys
from dial_core import cli
try:
    cli.main()
    status = 0
except SystemExit as end:
    status = end.code
# Not ru_maxrss: that starts with the memory of the process that forked this one.
peak_kb = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
loaded = sorted({name.split(".")[0] for name in sys.modules} & set(%r))
print(f"status={status or 0} modules={len(sys.modules)} mb={peak_kb // 1024} heavy={','.join(loaded)}")
"""


def run(*words: object) -> dict[str, str]:
    """What a `dial` command did, in a process of its own; jobs run in it too."""
    code = CODE % (HEAVY,)
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, cwd=ROOT, check=True)
    return dict(word.split("=", 1) for word in done.stdout.splitlines()[-1].split(" "))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A dataset, converted from a bag by the command."""
    folder = tmp_path_factory.mktemp("alone")
    found = run("convert", "bag", record(folder / "bag", seconds=2.0), folder / "dataset", "--workers", 0)
    assert (found["status"], found["heavy"]) == ("0", "")
    assert int(found["mb"]) < 300
    return folder / "dataset"


@pytest.mark.parametrize("words", [["data", "info"], ["data", "check"], ["data", "stats"]])
def test_looking_at_a_dataset_needs_no_model(dataset, words):
    found = run(*words, dataset)
    assert (found["status"], found["heavy"]) == ("0", "")
    assert int(found["mb"]) < 300


def test_joining_and_dividing_datasets_needs_no_model(dataset, tmp_path):
    for words in (["merge", dataset, dataset, tmp_path / "both"], ["split", tmp_path / "both", tmp_path / "parts", "a=0.5", "b=0.5"]):
        found = run("data", *words)
        assert (found["status"], found["heavy"]) == ("0", "")


def test_other_peoples_datasets_are_converted_without_a_model(tmp_path):
    folder = write_gr00t_set(tmp_path / "robocasa")
    found = run("convert", "lerobot", folder, tmp_path / "out", "--mapping", "robocasa_gr1", "--workers", 0)
    assert (found["status"], found["heavy"]) == ("0", "")
    assert int(found["mb"]) < 300


@pytest.mark.parametrize("words", [["convert"], ["convert", "bag"], ["convert", "lerobot"], ["data"], ["repair"], ["record"]])
def test_a_command_starts_at_once(words):
    found = run(*words, "--help")
    assert (found["status"], found["heavy"]) == ("0", "")
    assert int(found["modules"]) < MODULES, "what a command imports before it does anything"


def test_the_extra_installs_what_is_tested():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    pins = config["options.extras_require"]["data"].split()
    tested = {re.split(r"\s", line)[0] for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert set(pins) <= tested
    assert not {pin.split("==")[0].lower() for pin in pins} & set(HEAVY)
