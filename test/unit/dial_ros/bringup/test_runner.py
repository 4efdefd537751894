"""The runner with real processes: it starts them, passes signals on, and stops all when a required one dies."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dial_core.checkpoint.trained_on import TrainedOn
from dial_ros.bringup.graph import NodeSpec, graph
from dial_ros.bringup.runner import Runner, command, doubts

STANDS_STILL = """
import signal, sys, time
def end(*_):
    print("ended by a signal", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
while True:  # short sleeps: a signal just before a long one would not cut it short
    time.sleep(0.05)
"""
ENDS_WHEN_ASKED_TWICE = """
import signal, time
asked = []
signal.signal(signal.SIGINT, lambda *_: (asked.append(0), print("asked", len(asked), flush=True)))
print("ready", flush=True)
while len(asked) < 2:
    time.sleep(0.05)
"""
DIES = "raise SystemExit(7)"
IGNORES_SIGNALS = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def node(tmp_path):
    """Makes a NodeSpec of a Python source."""

    def make(name: str, source: str, **options) -> NodeSpec:
        (tmp_path / f"fake_{name}.py").write_text(source)
        return NodeSpec(name, f"fake_{name}", Path("none.yaml"), {}, **options)

    return make


def runner_of(tmp_path, *nodes) -> Runner:
    return Runner(nodes, {"PYTHONPATH": str(tmp_path)}, log_dir=tmp_path / "log")


def wait_until(true, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def log(tmp_path, name):
    path = tmp_path / "log" / f"{name}.log"
    return path.read_text() if path.exists() else ""


@pytest.fixture(autouse=True)
def no_python_path(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)


def test_stop_lets_a_node_end_by_itself(tmp_path, node):
    runner = runner_of(tmp_path, node("still", STANDS_STILL))
    runner.start()
    wait_until(lambda: "ready" in log(tmp_path, "still"))
    assert runner.stop() == {"still": 0}
    assert "ended by a signal" in log(tmp_path, "still")


def test_a_node_that_ignores_signals_is_killed_after_the_grace(tmp_path, node):
    runner = runner_of(tmp_path, node("deaf", IGNORES_SIGNALS))
    runner.start()
    wait_until(lambda: "ready" in log(tmp_path, "deaf"))
    assert runner.stop(grace_s=0.3) == {"deaf": -signal.SIGKILL}


def test_a_node_has_a_grace_of_its_own(tmp_path, node):
    runner = runner_of(tmp_path, node("deaf", IGNORES_SIGNALS, grace_s=0.3))
    runner.start()
    wait_until(lambda: "ready" in log(tmp_path, "deaf"))
    assert runner.stop() == {"deaf": -signal.SIGKILL}


def test_a_second_ctrl_c_reaches_a_node_that_still_ends(tmp_path, node, monkeypatch):
    runner = runner_of(tmp_path, node("slow", ENDS_WHEN_ASKED_TWICE, grace_s=60.0))
    runner.start()
    wait_until(lambda: "ready" in log(tmp_path, "slow"))
    process = runner.process("slow")
    wait, pressed = process.wait, []

    def interrupted(timeout: float) -> int:
        if not pressed:
            wait_until(lambda: "asked 1" in log(tmp_path, "slow"))
            pressed.append(True)
            raise KeyboardInterrupt
        return wait(timeout)

    monkeypatch.setattr(process, "wait", interrupted)
    assert runner.stop() == {"slow": 0}


def test_the_death_of_a_required_node_is_reported_and_that_of_another_is_not(tmp_path, node):
    runner = runner_of(tmp_path, node("still", STANDS_STILL), node("extra", DIES, required=False), node("vital", DIES))
    with runner:
        wait_until(lambda: runner.dead() == {"vital": 7})


def test_variables_the_user_has_set_win(tmp_path, node, monkeypatch):
    monkeypatch.setenv("DIAL_TEST_MINE", "mine")
    runner = Runner(
        [node("env", "import os; print(os.environ['DIAL_TEST_MINE'], os.environ['DIAL_TEST_OURS'])")],
        {"PYTHONPATH": str(tmp_path), "DIAL_TEST_MINE": "ours", "DIAL_TEST_OURS": "ours"},
        log_dir=tmp_path / "log",
    )
    with runner:
        wait_until(runner.dead)
    assert log(tmp_path, "env").strip() == "mine ours"


def test_the_command_line_quotes_text_and_spells_truth_as_yaml_does():
    parameters = {"a": True, "b": "it's", "c": 2, "d": ""}
    spec = NodeSpec("system1", "dial_ros.system1.system1_node", Path("p.yaml"), parameters, {"image/ego": "/head"})
    spec = replace(spec, enclave="/dial/system1")
    line = command(spec, namespace="/lab/")
    assert line[:3] == [sys.executable, "-m", "dial_ros.system1.system1_node"]
    assert line[line.index("--ros-args") :] == [
        *("--ros-args", "--params-file", "p.yaml", "--enclave", "/dial/system1"),
        *("-r", "__node:=system1", "-r", "image/ego:=/head", "-r", "__ns:=/lab"),
        *("-p", "a:=true", "-p", "b:='it''s'", "-p", "c:=2", "-p", "d:=''"),
    ]


MAIN = """
import sys
from pathlib import Path
import dial_ros.bringup.runner as runner
from dial_ros.bringup.graph import NodeSpec
names = sys.argv[1:]
runner.graph = lambda kind, **_: [NodeSpec(n, f"fake_{n}", Path("p.yaml"), {}) for n in names]
raise SystemExit(runner.main(["sim"]))
"""


def start_main(tmp_path, *names):
    line, environment = [sys.executable, "-c", MAIN, *names], os.environ | {"PYTHONPATH": str(tmp_path)}
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_passes_a_signal_on_and_ends_with_status_zero(tmp_path, node, number):
    node("still", STANDS_STILL)
    program = start_main(tmp_path, "still")
    assert program.stdout.readline() == "[still] ready\n"
    program.send_signal(number)
    output, _ = program.communicate(timeout=15)
    assert "[still] ended by a signal" in output
    assert program.returncode == 0


def test_the_program_ends_with_the_status_of_the_required_node_that_died(tmp_path, node):
    node("still", STANDS_STILL)
    node("vital", DIES)
    program = start_main(tmp_path, "still", "vital")
    output, _ = program.communicate(timeout=15)
    assert "required node vital ended with status 7" in output
    assert program.returncode == 7


def test_a_signal_while_the_others_end_after_a_death_reaches_them_and_keeps_the_status(tmp_path, node):
    node("slow", ENDS_WHEN_ASKED_TWICE)
    node("vital", "from pathlib import Path; import time\nwhile not Path(__file__).with_name('ready').exists(): time.sleep(0.02)\n" + DIES)
    program = start_main(tmp_path, "slow", "vital")
    assert program.stdout.readline() == "[slow] ready\n"
    (tmp_path / "ready").touch()
    assert program.stdout.readline() == "[slow] asked 1\n"
    program.send_signal(signal.SIGINT)
    output, _ = program.communicate(timeout=15)
    assert "[slow] asked 2" in output
    assert program.returncode == 7


def test_no_node_outlives_a_killed_runner(tmp_path, node):
    node("orphan", "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    program = start_main(tmp_path, "orphan")
    orphan = int(program.stdout.readline().split()[1])
    program.kill()
    program.wait()
    wait_until(lambda: not alive(orphan))


def alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_task_that_the_checkpoint_was_not_trained_on_is_named_before_the_start(tmp_path):
    assert doubts(graph("sim")) == doubts(graph("sim", task="CanToDrawerClose")) == []
    TrainedOn.of(["put the can on the plate"], ["PlacematToPlate"]).save(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (doubt,) = doubts(graph("sim", task="CanToDrawerClose", checkpoint=str(tmp_path)))
    assert "not trained on CanToDrawerClose" in doubt
    assert doubts(graph("record")) == []
