"""Records demonstrations over ROS in simulation: the expert drives `mujoco_robot` through its controllers, `recorder` writes bags.

python -m dial_ros.tools.record_expert --episodes 20 --out recordings        (or: dial record --expert)
"""

import argparse
import shutil
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_core.sim.task import require_training_seed
from dial_ros.bringup.graph import graph
from dial_ros.msg import Instruction
from dial_ros.node import qos
from dial_ros.node.messages import to_time
from dial_ros.srv import ResetWorld, StartEpisode, StopEpisode
from dial_ros.tools.client import ClientNode, running
from dial_ros.tools.expert_driver import ExpertDriver

SETTLED_S = 1.0  # simulated time before a reset, so that the jump back of the clock cannot be mistaken for a late message
BEGIN_S = 0.3  # simulated time after a reset before recording begins: everyone has noticed the jump
HELD_S = 0.8  # success that lasts, and stillness that a learner must see
HOPELESS_S = 3.0  # simulated time after the expert's end without success


class Demonstrator(ClientNode):
    """Resets the world, drives, starts and stops the recorder."""

    def __init__(self, task: str, check_alive: Callable[[], None]) -> None:
        """Arguments: the task of every attempt; `check_alive` as of ClientNode."""
        super().__init__("expert", check_alive)
        self._task = task
        self._driver = ExpertDriver(self, load_embodiment(), task)
        self._now_ns = 0
        self._target: np.ndarray | None = None
        self._success_since_ns: int | None = None
        self._instruction_out = self.create_publisher(Instruction, "instruction", qos.LATCHED)
        self.create_subscription(JointState, "joint_states", self._on_joints, qos.SENSOR)
        self.create_subscription(PointStamped, "mujoco_robot/target", self._on_target, qos.SENSOR)
        self.create_subscription(Bool, "mujoco_robot/success", self._on_success, qos.LATCHED)

    def demonstrate(self, seed: int) -> tuple[bool, str]:
        """Records one attempt on the scene of `seed`. Returns whether it succeeded, and the bag's folder. Raises DialError."""
        instruction = self._reset(seed)
        self._driver.begin(seed)
        self._instruction_out.publish(Instruction(stamp=to_time(self._now_ns), instruction_id=str(uuid.uuid4()), text=instruction))
        self.wait_until(lambda: self._target is not None and self._driver.subscribed, 20.0, "the controllers to listen")
        request = StartEpisode.Request(label=f"{Path(self._task).stem}_{seed:06d}", instruction=instruction)
        started = self.command(StartEpisode, "recorder/start_episode", request)
        ended_ns = None
        while True:
            self.spin_once()
            assert self._target is not None
            self._driver.drive(self._now_ns, self._target)
            held_s = (self._now_ns - self._success_since_ns) / NANOSECONDS if self._success_since_ns is not None else 0.0
            if self._driver.done and ended_ns is None:
                ended_ns = self._now_ns
            if ended_ns is not None and (held_s >= HELD_S or (self._now_ns - ended_ns) / NANOSECONDS > HOPELESS_S):
                break
        success = held_s >= HELD_S
        outcome = StopEpisode.Request.OUTCOME_SUCCESS if success else StopEpisode.Request.OUTCOME_FAILURE
        request = StopEpisode.Request(outcome=outcome, note=f"scripted expert, seed {seed}")
        self.command(StopEpisode, "recorder/stop_episode", request)
        return success, started.path

    def _reset(self, seed: int) -> str:
        """Resets the world to a new scene; returns its instruction once the clock has restarted."""
        self.wait_until(lambda: self._now_ns > SETTLED_S * NANOSECONDS, 60.0, "the simulated clock to advance")
        before_ns = self._now_ns
        answer = self.command(ResetWorld, "mujoco_robot/reset", ResetWorld.Request(task=self._task, seed=seed, target=-1))
        self.wait_until(lambda: self._now_ns < before_ns - NANOSECONDS // 2, 20.0, "the clock to restart")
        self._target, self._success_since_ns = None, None
        self.wait_until(lambda: self._now_ns > BEGIN_S * NANOSECONDS, 20.0, "the clock to advance")
        return answer.instruction

    def _on_joints(self, message: JointState) -> None:
        self._now_ns = to_ns(message.header.stamp)

    def _on_target(self, message: PointStamped) -> None:
        self._target = np.array([message.point.x, message.point.y, message.point.z])

    def _on_success(self, message: Bool) -> None:
        self._success_since_ns = self._now_ns if message.data else None

    def destroy_node(self) -> None:
        self._driver.close()
        super().destroy_node()


def record(out: Path, task: str, episodes: int, seed: int, real_time_factor: float, report: Callable[[str], None] = print) -> int:
    """Records until `episodes` demonstrations on scenes `seed`, `seed` + 1, ... have succeeded. Returns the number of failed ones.

    Bags that are there already (an earlier, interrupted call) count. A failed attempt's bag says so and is left out by
    `dial convert bag`.

    Raises:
        DialError: a node died or refused, or the next scene is reserved for evaluation.
    """
    require_training_seed(seed)
    robot = next(n for n in graph("sim", task=task, seed=seed, real_time_factor=real_time_factor) if n.name == "mujoco_robot")
    recorder = graph("record", use_sim_time=True, directory=str(out))
    succeeded = failed = 0
    with running([robot, *recorder], "sim", out / "log") as started:
        demonstrator = Demonstrator(task, started.check_alive)
        while succeeded < episodes:
            require_training_seed(seed)
            outcome = finished(out / f"{Path(task).stem}_{seed:06d}")
            if outcome is None:
                success, path = demonstrator.demonstrate(seed)
                outcome = "success" if success else "failure"
                report(f"{succeeded + success}/{episodes}  {path}: {outcome}")
            succeeded, failed, seed = succeeded + (outcome == "success"), failed + (outcome == "failure"), seed + 1
        demonstrator.destroy_node()
    return failed


def finished(bag: Path) -> str | None:
    """Returns the outcome of an existing bag; None if there is none. A bag without outcome is deleted, to be recorded again."""
    from dial_core.bags.reader import Bag

    if not bag.exists():
        return None
    outcome = Bag(bag).facts.get("outcome", "unknown") if any(bag.glob("*.mcap")) else "unknown"
    if outcome == "unknown":
        shutil.rmtree(bag)
        return None
    return outcome


def main(words: Sequence[str] | None = None) -> int:
    """Runs the program; returns the exit status."""
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
        print("interrupted; the same command resumes where it stopped", file=sys.stderr)
        return 130
    print(f"{chosen.episodes} demonstrations in {chosen.out}, {failed} failed attempts; next: dial convert bag {chosen.out} DATASET")
    return 0


if __name__ == "__main__":
    sys.exit(main())
