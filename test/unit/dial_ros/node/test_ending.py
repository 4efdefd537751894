import subprocess
import sys

PROGRAM = """
import time
from dial_ros.node import process

class Node:
    active = False
    def release(self): print("released", flush=True)
    def destroy_node(self): time.sleep(60)

class Executor:
    def shutdown(self): pass

process.GOODBYE_S = 0.2
process._end(Node(), Executor())
"""

REFUSED = """
import time
from dial_ros.node import process

def make_node():
    raise ValueError("camera_timeout is no number")

process.GOODBYE_S = 0.2
process.rclpy.shutdown = lambda: time.sleep(60)
process.run(make_node)
"""


def test_a_node_that_cannot_start_ends_although_the_middleware_does_not_come_down():
    ended = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert "camera_timeout is no number" in ended.stderr
    assert "process.py" in ended.stderr, "where it hung is reported"


def test_a_middleware_that_does_not_come_down_does_not_keep_the_process():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert ended.stdout == "released\n"
    assert "destroy_node" in ended.stderr, "where it hung is reported"
