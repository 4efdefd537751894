"""Real processes, real messages: every module has its own random ROS_DOMAIN_ID, waits for events, and never sleeps and hopes."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from dial_ros.bringup.graph import NodeSpec, environment
from dial_ros.bringup.runner import Runner
from dial_ros.msg import Instruction, System1Status, System2Status
from dial_ros.node import qos
from dial_ros.tools.client import ClientNode, free_domain

START_S = 300.0  # [s] of wall time for a node to import torch and load weights on a machine that is busy elsewhere
PATIENCE_S = 60.0  # [s] of wall time for anything else: no test passes because the machine is fast
EMBODIMENT = load_embodiment("gr1")
# Nodes are killed here by the dozen, and what they leave in shared memory may hang the end of a later participant.
PROFILES = str(config_root() / "fastdds_udp.xml")
# In this process too, for what the tests start by the runner or the demo.
os.environ.update(dict.fromkeys(("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"), PROFILES))
ENVIRONMENT = environment("sim")


class GraphProbe(ClientNode):
    """The test's own node: keeps what arrives and waits for what should."""

    def __init__(self, context: Context) -> None:
        super().__init__("probe", context=context)
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

    def until(self, condition, what: str, deadline_s: float = PATIENCE_S, step=None):
        """Waits until `condition()` is true and returns its value; `step` drives the world meanwhile."""
        return self.wait_until(condition, deadline_s, what, step)

    def call(self, kind, service: str, request, limit_s: float = START_S, step=None):
        """Response of a service; `step` drives the world meanwhile."""
        return super().call(kind, service, request, limit_s, step)

    def last_words(self) -> str:
        return f"; system1: {self.system1}; system2: {self.system2}"


class Nodes:
    """Node processes of one module, each with a log; whatever is left at the end is killed."""

    def __init__(self, domain: int, folder: Path) -> None:
        self._environment = ENVIRONMENT | {"ROS_DOMAIN_ID": str(domain)}
        self._folder = folder
        self._runners: dict[str, Runner] = {}
        self._all: list[Runner] = []  # one that takes over a name must not hide the one before

    def start(self, name: str, as_name: str = "", remappings: dict[str, str] | None = None, **parameters) -> subprocess.Popen:
        """`python -m dial_ros.<name>.<name>_node`; known here as `as_name`, if given."""
        values = {key: str(value) if isinstance(value, Path) else value for key, value in parameters.items()}
        spec = NodeSpec(name, f"dial_ros.{name}.{name}_node", None, values, remappings or {})
        with pytest.MonkeyPatch.context() as patched:
            patched.delenv("ROS_DOMAIN_ID", raising=False)  # the module's own wins
            patched.delenv("PYTEST_CURRENT_TEST", raising=False)  # the page's library behaves differently where it sees it
            runner = Runner([spec], self._environment, log_dir=self._folder / (as_name or name))
        runner.start()
        self._runners[as_name or name] = runner
        self._all.append(runner)
        return runner.process(name)

    def log(self, name: str) -> str:
        (file,) = (self._folder / name).glob("*.log")
        return file.read_text()

    def end(self, name: str, signal_number: int = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status."""
        runner = self._runners[name]
        runner.send(signal_number)
        return next(iter(runner.processes)).wait(timeout=PATIENCE_S)

    def send(self, name: str, signal_number: int) -> None:
        """Sends a signal to a node that goes on."""
        self._runners[name].send(signal_number)

    def kill_all(self) -> None:
        for runner in self._all:
            runner.send(signal.SIGKILL)
            runner.stop()


@contextmanager
def spinning(domain: int, make: Callable[[Context], Node]) -> Iterator[Node]:
    """Context of a node that spins in a thread of its own, in a domain."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node, executor = make(context), SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield node
    executor.shutdown()
    thread.join()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture(scope="module")
def domain() -> int:
    return free_domain()


@pytest.fixture(scope="module")
def probe(domain):
    saved = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = GraphProbe(context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)
    os.environ.clear()
    os.environ.update(saved)


@pytest.fixture(scope="module")
def nodes(domain, probe):
    """Ends before `probe`: Fast DDS has crashed when a participant was destroyed while others of its domain came and went."""
    with tempfile.TemporaryDirectory() as folder:
        started = Nodes(domain, Path(folder))
        yield started
        started.kill_all()


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


def listens(port: int) -> bool:
    """Whether somebody accepts connections at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-quic"):
        options.add_argument(flag)
    options.add_argument("--window-size=1280,1000")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()
