"""The recorder with an operator at the keyboard, where `ros2 launch` and `ros2 service call` are not installed.

python -m dial_ros.record --out recordings        (or: dial record)
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from dial_core.errors import DialError
from dial_ros.graph import environment, graph
from dial_ros.runner import Runner
from dial_ros.srv import StartEpisode, StopEpisode

READY_S = 60.0
ANSWER_S = 60.0
OUTCOMES = {
    "s": StopEpisode.Request.OUTCOME_SUCCESS,
    "f": StopEpisode.Request.OUTCOME_FAILURE,
    "u": StopEpisode.Request.OUTCOME_UNKNOWN,
}
HELP = """Enter: begin an episode      (label, if you type one)
s, f, u: end it as success, failure, unknown      (with a remark: s slipped once)
d: discard it, or the last one      q: quit"""


class Operator(Node):
    """Calls the recorder's services and waits for the answers."""

    def __init__(self, runner: Runner) -> None:
        super().__init__("record_operator")
        self._runner = runner
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def start(self, label: str, instruction: str) -> str:
        """Begins an episode; what the recorder said."""
        answer = self._call(StartEpisode, "start_episode", StartEpisode.Request(label=label, instruction=instruction))
        return f"recording {answer.path}" if answer.success else f"refused: {answer.message}"

    def stop(self, outcome: int, note: str) -> str:
        """Ends it; what the recorder said."""
        answer = self._call(StopEpisode, "stop_episode", StopEpisode.Request(outcome=outcome, note=note))
        return f"{answer.path}: {answer.messages} messages, {answer.lost} lost" if answer.success else f"refused: {answer.message}"

    def discard(self) -> str:
        """Removes the episode that is being recorded, or the last one; what the recorder said."""
        return self._call(Trigger, "discard_episode", Trigger.Request()).message

    def _call(self, kind, name: str, request):
        client = self.create_client(kind, f"recorder/{name}")
        try:
            self._wait(client.service_is_ready, READY_S, f"recorder/{name}")
            future = client.call_async(request)
            self._wait(future.done, ANSWER_S, f"an answer of recorder/{name}")
            return future.result()
        finally:
            self.destroy_client(client)

    def _wait(self, done, limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not done():
            self._executor.spin_once(timeout_sec=0.05)
            if dead := self._runner.dead():
                raise DialError(f"the recorder ended with status {dead['recorder']}; its messages stand above")
            if time.monotonic() > deadline:
                raise DialError(f"waited {limit_s:.0f} s in vain for {what}")


def answer_to(operator: Operator, line: str, instruction: str, recording: bool) -> tuple[str, bool]:
    """What one line of the operator leads to: a text to show, and whether an episode is being recorded after it."""
    word, _, rest = line.strip().partition(" ")
    if recording and word in OUTCOMES:
        return operator.stop(OUTCOMES[word], rest.strip()), False
    if word == "d":
        return operator.discard(), False
    if recording:
        return f"an episode is being recorded\n{HELP}", True
    text = operator.start(line.strip(), instruction)
    return text, text.startswith("recording")


def main(words: Sequence[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("recordings"), help="folder in which every episode gets a folder")
    parser.add_argument("--robot", default="gr1", help="embodiment: a name in config/embodiments/, or a YAML file")
    parser.add_argument("--instruction", default="", help="what the robot is to do; empty: as the topic `instruction` says")
    parser.add_argument("--sim-time", action="store_true", help="take the time from /clock")
    chosen = parser.parse_args(words)
    for name, value in environment("record").items():
        os.environ.setdefault(name, value)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    recording = False
    try:
        nodes = graph("record", robot=chosen.robot, directory=str(chosen.out), use_sim_time=chosen.sim_time)
        with Runner(nodes, environment("record")) as runner:
            operator = Operator(runner)
            print(HELP, flush=True)
            for line in sys.stdin:
                if line.strip() == "q":
                    break
                text, recording = answer_to(operator, line, chosen.instruction, recording)
                print(text, flush=True)
    except DialError as error:
        print(f"recording failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
