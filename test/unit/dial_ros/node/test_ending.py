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


def test_a_middleware_that_does_not_come_down_does_not_keep_the_process():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1
    assert ended.stdout == "released\n"
    assert "destroy_node" in ended.stderr, "where it hung is reported"
