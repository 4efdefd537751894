"""Measures the recorder under load: a VGA camera at 30 Hz, joints at 100 Hz and foresight at 4 Hz; messages lost, and what a kill costs.

python -m dial_ros.benchmarks.recorder_load --seconds 600             # "0 lost" in ten minutes
python -m dial_ros.benchmarks.recorder_load --kills 20                # kill -9 at random moments; every bag readable to within 1 s
"""

import argparse
import array
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup.graph import NodeSpec, Value, environment
from dial_ros.bringup.runner import Runner
from dial_ros.msg import LatentForesight
from dial_ros.node import qos
from dial_ros.node.messages import image_to_message, to_time
from dial_ros.srv import StartEpisode, StopEpisode
from dial_ros.tools.client import ClientNode, connected, free_domain

HEIGHT, WIDTH = 480, 640
RATES_HZ = {"image/ego": 30.0, "joint_states": 100.0, "foresight": 4.0}
FORESIGHT_BYTES = 64 * 2048 * 2  # 262 kB, as the paper's model sends


class CameraSource(ClientNode):
    """Publishes numbered messages at their rates, and calls the recorder."""

    def __init__(self, reliable: bool) -> None:
        super().__init__("source")
        embodiment = load_embodiment()
        sensor: QoSProfile = qos.EVENTS if reliable else qos.SENSOR
        self._image = image_to_message(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), 0, "ego")
        self._joints = JointState(name=list(embodiment.joint_names), position=[0.0] * len(embodiment.joints))
        self._foresight = LatentForesight(data=array.array("B", bytes(FORESIGHT_BYTES)), dtype="float16")
        kinds = {"image/ego": self._image, "joint_states": self._joints, "foresight": self._foresight}
        self._outputs = {
            topic: (self.create_publisher(type(message), topic, qos.LATEST if topic == "foresight" else sensor), message)
            for topic, message in kinds.items()
        }
        self.sent = dict.fromkeys(RATES_HZ, 0)
        self._due_s = dict.fromkeys(RATES_HZ, 0.0)

    def run(self, seconds: float) -> None:
        """Publishes for `seconds` [s]."""
        end_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < end_s:
            for topic, rate_hz in RATES_HZ.items():
                if now_s >= self._due_s[topic]:
                    self._due_s[topic] = max(self._due_s[topic] + 1 / rate_hz, now_s - 0.5 / rate_hz)
                    self._publish(topic)
            time.sleep(max(min(self._due_s.values()) - time.monotonic(), 0.0))

    def call_while_publishing(self, kind: type, service: str, request: Any) -> Any:
        """Calls a service and returns its response; publishes meanwhile, so that the streams continue."""
        return self.call(kind, service, request, step=self._step)

    def _step(self) -> None:
        self.run(0.02)
        self.spin_once(0.0)

    def _publish(self, topic: str) -> None:
        publisher, message = self._outputs[topic]
        self.sent[topic] += 1
        message.header.stamp = to_time(time.time_ns())
        message.header.frame_id = str(self.sent[topic])
        publisher.publish(message)


def spawn(folder: Path, name: str) -> Runner:
    """Starts a recorder that writes to `folder`, with a unique name: DDS reports a killed one as alive for a while."""
    parameters: dict[str, Value] = {"autostart": True, "directory": str(folder)}
    runner = Runner([NodeSpec(name, "dial_ros.recorder.recorder_node", None, parameters)], environment("sim"), log_dir=folder)
    runner.start()
    return runner


def begin(source: CameraSource, folder: Path, recorder: str, label: str) -> None:
    """Starts an episode as soon as the recorder is ready. Raises DialError with its last log lines if it is not within a minute."""
    deadline = time.monotonic() + 60
    try:
        while not (
            answer := source.call_while_publishing(StartEpisode, f"{recorder}/start_episode", StartEpisode.Request(label=label))
        ).success:
            if time.monotonic() > deadline:
                raise DialError(answer.message)
            source.run(0.2)
    except DialError as error:
        raise DialError(f"{error}; its log ends:\n{(folder / f'{recorder}.log').read_text()[-2000:]}") from error


def numbers(bag: Bag, topic: str) -> list[int]:
    """Returns the numbers of a topic's messages in a bag."""
    return [int(bag.decode(f"/{topic}", data).header.frame_id) for _, _, data in bag.messages([f"/{topic}"])]


def measure_loss(source: CameraSource, folder: Path, seconds: float) -> dict:
    """Records for `seconds` [s]; for each topic what was sent while recording and what of it is missing."""
    recorder = spawn(folder, "recorder")
    begin(source, folder, "recorder", "long")
    source.run(seconds)
    answer = source.call_while_publishing(StopEpisode, "recorder/stop_episode", StopEpisode.Request())
    recorder.stop()
    bag = Bag(folder / "long")
    result: dict = {"seconds": seconds, "lost_by_the_disk": answer.lost, "bag_mb": round(size_of(folder / "long") / 2**20)}
    for topic in RATES_HZ:
        found = numbers(bag, topic)
        # From the first to the last recorded number every one must be there.
        result[topic] = {"recorded": len(found), "missing": found[-1] - found[0] + 1 - len(found), "hz": round(len(found) / seconds, 1)}
    return result


def measure_kills(source: CameraSource, folder: Path, kills: int, seed: int) -> dict:
    """kill -9 at random moments; how old the newest readable message of each topic was then [s], and whether repair works."""
    rng = random.Random(seed)
    missing_s: list[float] = []
    for number in range(kills):
        recorder = spawn(folder, f"recorder_{number}")
        begin(source, folder, f"recorder_{number}", f"kill_{number}")
        source.run(rng.uniform(1.5, 4.0))
        recorder.send(signal.SIGKILL)
        killed_ns = time.time_ns()
        recorder.stop()
        bag_folder = folder / f"kill_{number}"
        newest_ns = {topic: log_ns for topic, log_ns, _ in Bag(bag_folder).messages([f"/{t}" for t in ("image/ego", "joint_states")])}
        missing_s.append((killed_ns - min(newest_ns.values())) / 1e9)
        repair(bag_folder)
        assert Bag(bag_folder).whole
        shutil.rmtree(bag_folder)
        print(f"kill {number + 1:2d}: {missing_s[-1]:.3f} s missing, repaired", flush=True)
    worst, median = round(max(missing_s), 3), round(float(np.median(missing_s)), 3)
    return {"kills": kills, "seed": seed, "missing_s_worst": worst, "missing_s_median": median}


def size_of(folder: Path) -> int:
    """Returns the size of a folder's files [bytes]."""
    return sum(path.stat().st_size for path in folder.iterdir())


def main(words: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns 0 if nothing was lost, or every killed bag was readable to within 1 s."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the recording; 600 is the claim")
    parser.add_argument("--kills", type=int, default=0, help="instead: kill the recorder so many times")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--reliable", action="store_true", help="a driver that publishes reliably; else best effort, as sensors do")
    parser.add_argument("--folder", type=Path, help="where the bags go (28 MB/s); default: a temporary folder, removed afterwards")
    chosen = parser.parse_args(words)
    os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    with connected("sim"), tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
        source = CameraSource(chosen.reliable)
        if chosen.kills:
            result = measure_kills(source, Path(temporary), chosen.kills, chosen.seed)
            good = result["missing_s_worst"] <= 1.0
        else:
            result = measure_loss(source, Path(temporary), chosen.seconds)
            good = result["lost_by_the_disk"] == 0 and all(result[topic]["missing"] == 0 for topic in RATES_HZ)
            for topic in RATES_HZ:
                of = result[topic]
                print(f"{topic:14s} {of['recorded']:7d} recorded at {of['hz']:6.1f} Hz, {of['missing']} missing")
    print(json.dumps(result))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
