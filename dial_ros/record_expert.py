"""Demonstrations over ROS in simulation: the expert drives `mujoco_robot` through its controllers, `recorder` writes bags.

python -m dial_ros.record_expert --episodes 20 --out recordings        (or: dial record --expert)
"""

import argparse
import os
import random
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rclpy
from geometry_msgs.msg import PointStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from dial_core.embodiment import load_embodiment
from dial_core.errors import DialError
from dial_ros import qos
from dial_ros.expert_driver import ExpertDriver
from dial_ros.graph import environment, graph
from dial_ros.messages import to_ns, to_time
from dial_ros.msg import Instruction
from dial_ros.runner import Runner
from dial_ros.srv import ResetWorld, StartEpisode, StopEpisode

SETTLED_S = 1.0  # simulated time before a reset, so that the clock jumps back far enough to be told from a late message
BEGIN_S = 0.3  # simulated time after a reset before recording begins: everyone has noticed the jump
HELD_S = 0.8  # success that lasts, and stillness that a learner must see
HOPELESS_S = 3.0  # simulated time after the expert's end without success


class Demonstrator(Node):
    """Resets the world, drives, starts and stops the recorder. `check_alive` raises when the graph is gone."""

    def __init__(self, task: str, check_alive: Callable[[], None]) -> None:
        super().__init__("expert")
        self._task, self._check_alive = task, check_alive
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._driver = ExpertDriver(self, load_embodiment(), task)
        self._now_ns = 0
        self._target: np.ndarray | None = None
        self._success_since_ns: int | None = None
        self._instruction_out = self.create_publisher(Instruction, "instruction", qos.LATCHED)
        self._services_called = {
            name: self.create_client(kind, name)
            for name, kind in {
                "mujoco_robot/reset": ResetWorld,
                "recorder/start_episode": StartEpisode,
                "recorder/stop_episode": StopEpisode,
                "recorder/discard_episode": Trigger,
            }.items()
        }
        self.create_subscription(JointState, "joint_states", self._on_joints, qos.SENSOR)
        self.create_subscription(PointStamped, "mujoco_robot/target", self._on_target, qos.SENSOR)
        self.create_subscription(Bool, "mujoco_robot/success", self._on_success, qos.LATCHED)

    def demonstrate(self, seed: int) -> tuple[bool, str]:
        """One recorded attempt on the scene of `seed`: whether it succeeded, and the bag's folder. Raises DialError."""
        instruction = self._reset(seed)
        self._driver.begin(seed)
        self._instruction_out.publish(Instruction(stamp=to_time(self._now_ns), instruction_id=str(uuid.uuid4()), text=instruction))
        self._until(lambda: self._target is not None and self._driver.subscribed, 20.0, "the controllers to listen")
        request = StartEpisode.Request(label=f"{Path(self._task).stem}_{seed:06d}", instruction=instruction)
        started = self._call("recorder/start_episode", request)
        ended_ns = None
        while True:
            self._spin()
            assert self._target is not None
            self._driver.drive(self._now_ns, self._target)
            held_s = (self._now_ns - self._success_since_ns) * 1e-9 if self._success_since_ns is not None else 0.0
            if self._driver.done and ended_ns is None:
                ended_ns = self._now_ns
            if ended_ns is not None and (held_s >= HELD_S or (self._now_ns - ended_ns) * 1e-9 > HOPELESS_S):
                break
        success = held_s >= HELD_S
        outcome = StopEpisode.Request.OUTCOME_SUCCESS if success else StopEpisode.Request.OUTCOME_FAILURE
        self._call("recorder/stop_episode", StopEpisode.Request(outcome=outcome, note=f"scripted expert, seed {seed}"))
        return success, started.path

    def _reset(self, seed: int) -> str:
        """A fresh scene; returns its instruction once the clock has begun anew."""
        self._until(lambda: self._now_ns > SETTLED_S * 1e9, 60.0, "the simulated clock to go on")
        before_ns = self._now_ns
        answer = self._call("mujoco_robot/reset", ResetWorld.Request(task=self._task, seed=seed, target=-1))
        self._until(lambda: self._now_ns < before_ns - 0.5e9, 20.0, "the clock to begin anew")
        self._target, self._success_since_ns = None, None
        self._until(lambda: self._now_ns > BEGIN_S * 1e9, 20.0, "the clock to go on")
        return answer.instruction

    def _call(self, name: str, request):
        client = self._services_called[name]
        self._until(client.service_is_ready, 60.0, f"service {name}")
        future = client.call_async(request)
        self._until(future.done, 60.0, f"an answer of {name}")
        response = future.result()
        if not response.success:
            raise DialError(f"{name} refused: {response.message}")
        return response

    def _until(self, done: Callable[[], bool], limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not done():
            self._spin()
            if time.monotonic() > deadline:
                raise DialError(f"waited {limit_s:.0f} s in vain for {what}; the nodes' logs say more")

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.05)
        self._check_alive()

    def _on_joints(self, message: JointState) -> None:
        self._now_ns = to_ns(message.header.stamp)

    def _on_target(self, message: PointStamped) -> None:
        self._target = np.array([message.point.x, message.point.y, message.point.z])

    def _on_success(self, message: Bool) -> None:
        self._success_since_ns = self._now_ns if message.data else None

    def close(self) -> None:
        """Frees what it made."""
        self._driver.close()
        self.destroy_node()


def record(out: Path, task: str, episodes: int, seed: int, real_time_factor: float, tell: Callable[[str], None] = print) -> int:
    """Records until `episodes` demonstrations have succeeded, on scenes `seed`, `seed` + 1, ...; the number of failed ones.

    Bags that are there already (an earlier, interrupted call) count. A failed attempt's bag says so and is left out by
    `dial convert bag`.

    Raises:
        DialError: a node died or refused.
    """
    robot = next(n for n in graph("sim", task=task, seed=seed, real_time_factor=real_time_factor) if n.name == "mujoco_robot")
    recorder = graph("record", use_sim_time=True, directory=str(out))
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 101)))
    for name, value in environment("sim").items():
        os.environ.setdefault(name, value)
    runner = Runner([robot, *recorder], environment("sim"), log_dir=out / "log")

    def check_alive() -> None:
        for name, status in runner.dead().items():
            raise DialError(f"node {name} ended with status {status}; {out / 'log' / name}.log says why")

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    succeeded = failed = 0
    try:
        with runner:
            demonstrator = Demonstrator(task, check_alive)
            while succeeded < episodes:
                outcome = finished(out / f"{task}_{seed:06d}")
                if outcome is None:
                    success, path = demonstrator.demonstrate(seed)
                    outcome = "success" if success else "failure"
                    tell(f"{succeeded + success}/{episodes}  {path}: {outcome}")
                succeeded, failed, seed = succeeded + (outcome == "success"), failed + (outcome == "failure"), seed + 1
            demonstrator.close()
    finally:
        rclpy.shutdown()
    return failed


def finished(bag: Path) -> str | None:
    """Outcome of a bag that is there; None if there is none. One that was never judged is removed, to be recorded again."""
    from dial_core.bags.reader import Bag

    if not bag.exists():
        return None
    outcome = Bag(bag).facts.get("outcome", "unknown") if any(bag.glob("*.mcap")) else "unknown"
    if outcome == "unknown":
        shutil.rmtree(bag)
        return None
    return outcome


def main(words: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("recordings"), help="folder in which every episode gets a folder")
    parser.add_argument("--task", default="PlacematToPlate", help="task, by its file in config/tasks/")
    parser.add_argument("--episodes", type=int, default=20, help="successful demonstrations wanted")
    parser.add_argument("--seed", type=int, default=0, help="first scene; 100000 and up are for evaluation")
    parser.add_argument("--real-time-factor", type=float, default=1.0, help="simulated over wall time, at most")
    chosen = parser.parse_args(words)
    try:
        failed = record(chosen.out, chosen.task, chosen.episodes, chosen.seed, chosen.real_time_factor)
    except DialError as error:
        print(f"recording failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it was", file=sys.stderr)
        return 130
    print(f"{chosen.episodes} demonstrations in {chosen.out}, {failed} failed attempts; next: dial convert bag {chosen.out} DATASET")
    return 0


if __name__ == "__main__":
    sys.exit(main())
