"""Which frames of a raw camera arrive, by the Fast DDS profiles of sender and receiver, each in a process of its own.

python -m dial_ros.benchmarks.image_transport

The receiver subscribes as our nodes do; the sender stands for a camera's driver or `ros2 bag play`. Only sender and receiver on one
machine are measured: they exchange images through shared memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from itertools import product

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Empty

from dial_core.errors import DialError
from dial_ros.bringup.graph import environment
from dial_ros.node import qos
from dial_ros.tools.client import ClientNode, free_domain

TOPIC, READY, SENT = "image/camera", "ready", "sent"
RELIABILITIES = {"best effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}
PROFILES = {"fastdds.xml": environment("humanoid"), "none": {}}
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
FOUND_S, LAST_S = 30.0, 2.0


def send(frames: int, rate_hz: float, height: int, width: int, reliability: str) -> None:
    """Publishes rgb8 images at a rate as soon as the receiver is ready, and says on `sent` when it is done."""
    node, ready = ClientNode("sender"), list[Empty]()
    publisher = node.create_publisher(Image, TOPIC, QoSProfile(depth=5, reliability=RELIABILITIES[reliability]))
    done = node.create_publisher(Empty, SENT, qos.LATCHED)
    node.create_subscription(Empty, READY, ready.append, qos.LATCHED)
    node.wait_until(lambda: ready and publisher.get_subscription_count(), FOUND_S, "a receiver that is ready")
    image = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=array("B", bytes(3 * width * height)))
    begun_s = time.monotonic()
    for number in range(frames):
        image.header.stamp.sec = number
        publisher.publish(image)
        due_s = begun_s + (number + 1) / rate_hz
        while time.monotonic() < due_s:
            node.spin_once(due_s - time.monotonic())
    done.publish(Empty())
    node.wait_until(lambda: not publisher.get_subscription_count(), FOUND_S, "the receiver to end")


def receive() -> int:
    """Counts the different images that arrive until the sender is done."""
    node, arrived, done = ClientNode("receiver"), set[int](), list[Empty]()

    def note(image: Image) -> None:
        arrived.add(image.header.stamp.sec)

    images = node.create_subscription(Image, TOPIC, note, qos.SENSOR)
    node.create_subscription(Empty, SENT, done.append, qos.LATCHED)
    ready = node.create_publisher(Empty, READY, qos.LATCHED)
    node.wait_until(images.get_publisher_count, FOUND_S, "a sender")
    ready.publish(Empty())
    node.wait_until(lambda: done, 10 * FOUND_S, "the sender to be done")
    ended_s = time.monotonic()
    node.wait_until(lambda: time.monotonic() > ended_s + LAST_S, 2 * LAST_S, "the last frames")
    return len(arrived)


def measure(receiver: str, sender: str, reliability: str, options: argparse.Namespace) -> int:
    """Frames that arrive with these profiles of receiver and sender. Raises DialError if one of the two processes fails."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES} | {"ROS_DOMAIN_ID": str(free_domain())}
    clean |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    size = ["--frames", options.frames, "--rate", options.rate, "--height", options.height, "--width", options.width]
    command = [sys.executable, "-m", "dial_ros.benchmarks.image_transport"]
    receiving = subprocess.Popen([*command, "--as", "receiver"], env=clean | PROFILES[receiver], stdout=subprocess.PIPE, text=True)
    words = [*command, "--as", "sender", "--reliability", reliability, *map(str, size)]
    sent = subprocess.run(words, env=clean | PROFILES[sender], check=False)
    if sent.returncode:
        receiving.terminate()
    counted, _ = receiving.communicate()
    for role, status in (("sender", sent.returncode), ("receiver", receiving.returncode)):
        if status:
            raise DialError(f"{role} ended with status {status}; its lines stand above")
    return int(counted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dial_ros.benchmarks.image_transport", description=__doc__.splitlines()[0])
    for name, default, what in (("frames", 150, "to send"), ("height", 480, "[px]"), ("width", 640, "[px]")):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=30.0, help="[Hz] (default: %(default)s)")
    parser.add_argument("--as", dest="role", choices=("sender", "receiver"), help=argparse.SUPPRESS)
    parser.add_argument("--reliability", choices=RELIABILITIES, default="reliable", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        if options.role:
            rclpy.init()
            if options.role == "receiver":
                print(receive(), flush=True)
            else:
                send(options.frames, options.rate, options.height, options.width, options.reliability)
            return 0
        machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
        print(f"{options.frames} frames of {options.width}x{options.height} at {options.rate:g} Hz; {machine}\n")
        print("| our node | sender | sender's reliability | received |\n|---|---|---|---|", flush=True)
        rows = []
        for receiver, sender, reliability in product(PROFILES, PROFILES, RELIABILITIES):
            rows.append(measure(receiver, sender, reliability, options))
            print(f"| {receiver} | {sender} | {reliability} | {rows[-1]} |", flush=True)
        print(json.dumps({"frames": options.frames, "received": rows, "machine": machine}))
    except DialError as error:
        print(f"[image_transport] {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
