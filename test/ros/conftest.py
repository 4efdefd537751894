"""Real processes, real messages: every module has its own random ROS_DOMAIN_ID, waits for events, and never sleeps and hopes."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from dial_core.config import config_root
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import environment
from dial_ros.msg import Instruction, System1Status, System2Status
from dial_ros.node import qos

START_S = 300.0  # [s] of wall time for a node to import torch and load weights on a machine that is busy elsewhere
PATIENCE_S = 60.0  # [s] of wall time for anything else: no test passes because the machine is fast
EMBODIMENT = load_embodiment("gr1")
# Nodes are killed here by the dozen, and what they leave in shared memory may hang the end of a later participant.
PROFILES = str(config_root() / "fastdds_udp.xml")
ENVIRONMENT = environment("sim") | {"FASTRTPS_DEFAULT_PROFILES_FILE": PROFILES}
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = PROFILES  # for what the tests start by the runner or the demo


class Probe(Node):
    """The test's own node: keeps what arrives and waits for what should."""

    def __init__(self, context: Context) -> None:
        super().__init__("probe", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self)
        self.system1: System1Status | None = None
        self.system2: System2Status | None = None
        self.instruction: Instruction | None = None
        self.joints: JointState | None = None
        self.trajectories: list[JointTrajectory] = []  # of the right arm
        self.keep(System1Status, "system1/status", "system1", qos.LATCHED)
        self.keep(System2Status, "system2/status", "system2", qos.LATCHED)
        self.keep(Instruction, "instruction", "instruction", qos.LATCHED)
        self.keep(JointState, "joint_states", "joints", qos.SENSOR)
        self.create_subscription(JointTrajectory, "right_arm_controller/joint_trajectory", self.trajectories.append, qos.EVENTS)

    def keep(self, kind, topic: str, attribute: str, profile) -> None:
        """Keeps the newest message of a topic as an attribute."""
        self.create_subscription(kind, topic, lambda message: setattr(self, attribute, message), profile)

    def spin(self, seconds: float = 0.02) -> None:
        """Takes in what arrives within `seconds`."""
        self._executor.spin_once(timeout_sec=seconds)

    def until(self, condition, what: str, deadline_s: float = PATIENCE_S, step=None):
        """Waits until `condition()` is true and returns its value; `step` drives the world meanwhile."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if result := condition():
                return result
            (step or self.spin)()
        pytest.fail(f"not within {deadline_s} s: {what}; system1: {self.system1}; system2: {self.system2}")

    def call(self, kind, name: str, request, deadline_s: float = PATIENCE_S, step=None):
        """Response of a service; `step` drives the world meanwhile."""
        client = self.create_client(kind, name)
        self.until(client.service_is_ready, f"service {name}", START_S, step)
        future = client.call_async(request)
        self.until(future.done, f"answer of {name}", deadline_s, step)
        self.destroy_client(client)
        return future.result()


class Nodes:
    """Node processes of one module; whatever is left at the end is killed."""

    def __init__(self, domain: int, folder: Path) -> None:
        self._environment = os.environ | ENVIRONMENT | {"ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
        self._environment.pop("PYTEST_CURRENT_TEST", None)  # the page's library behaves differently where it sees it
        self._folder = folder
        self._newest: dict[str, subprocess.Popen] = {}
        self._all: list[subprocess.Popen] = []  # one that takes over a name must not hide the one before

    def start(self, name: str, as_name: str = "", remappings: dict[str, str] | None = None, **parameters) -> subprocess.Popen:
        """`python -m dial_ros.<name>_node`, its output in a log file; known here as `as_name`, if given."""
        line = [sys.executable, "-m", f"dial_ros.{name}.{name}_node", "--ros-args"]
        for ours, theirs in (remappings or {}).items():
            line += ["-r", f"{ours}:={theirs}"]
        for key, value in parameters.items():
            line += ["-p", f"{key}:={str(value).lower() if isinstance(value, bool) else value}"]
        name = as_name or name
        with self.log_file(name).open("w") as log:
            process = subprocess.Popen(line, env=self._environment, stdout=log, stderr=subprocess.STDOUT)
        self._newest[name] = process
        self._all.append(process)
        return process

    def log_file(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def log(self, name: str) -> str:
        return self.log_file(name).read_text()

    def end(self, name: str, signal_number: int = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status."""
        self._newest[name].send_signal(signal_number)
        return self._newest[name].wait(timeout=PATIENCE_S)

    def kill_all(self) -> None:
        for process in self._all:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def domain() -> int:
    return random.SystemRandom().randint(1, 101)  # above, ports would meet Linux's ephemeral ones


@pytest.fixture(scope="module")
def nodes(domain):
    with tempfile.TemporaryDirectory() as folder:
        started = Nodes(domain, Path(folder))
        yield started
        started.kill_all()


@pytest.fixture(scope="module")
def probe(domain):
    saved = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = Probe(context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A complete dial-tiny with random weights."""
    from dial_core.checkpoint.checkpoint import make_random_checkpoint

    path = tmp_path_factory.mktemp("checkpoint") / "random"
    make_random_checkpoint(path)
    return path


def moving(message: JointState, threshold: float = 0.05) -> bool:
    """Whether any joint moves faster than `threshold` [rad/s]."""
    return bool(np.abs(np.array(message.velocity)).max() > threshold)
