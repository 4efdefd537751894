"""Starts the recorder and operates it from the keyboard, where `ros2 launch` and `ros2 service call` are not installed.

python -m dial_ros.tools.record --out recordings        (or: dial record)
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from std_srvs.srv import Trigger

from dial_core.errors import DialError
from dial_ros.bringup.graph import ARGUMENTS, graph
from dial_ros.srv import StartEpisode, StopEpisode
from dial_ros.tools.client import ClientNode, running

OUTCOMES = {
    "s": StopEpisode.Request.OUTCOME_SUCCESS,
    "f": StopEpisode.Request.OUTCOME_FAILURE,
    "u": StopEpisode.Request.OUTCOME_UNKNOWN,
}
HELP = """Enter: begin an episode      (label, if you type one)
s, f, u: end it as success, failure, unknown      (with a remark: s slipped once)
d: discard it, or the last one      q: quit"""
OF_THE_GRAPH = ("namespace", "cameras", "controllers", "params_file")  # arguments that are passed on as they are


class Operator(ClientNode):
    """Calls the recorder's services; every method returns the recorder's answer as text."""

    def start(self, label: str, instruction: str) -> str:
        """Starts an episode."""
        answer = self.call(StartEpisode, "recorder/start_episode", StartEpisode.Request(label=label, instruction=instruction))
        return f"recording {answer.path}" if answer.success else f"refused: {answer.message}"

    def stop(self, outcome: int, note: str) -> str:
        """Stops the episode."""
        answer = self.call(StopEpisode, "recorder/stop_episode", StopEpisode.Request(outcome=outcome, note=note))
        if not answer.success:
            return f"refused: {answer.message}"
        return f"{answer.path}: {answer.messages} messages, {answer.lost} lost" + (f"; {answer.message}" if answer.message else "")

    def discard(self) -> str:
        """Deletes the episode that is being recorded, or the last one."""
        return self.call(Trigger, "recorder/discard_episode", Trigger.Request()).message


def answer_to(operator: Operator, line: str, instruction: str, recording: bool) -> tuple[str, bool]:
    """Executes one line of the operator. Returns the text to show, and whether an episode is being recorded after it."""
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
    """Runs the program; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("recordings"), help="folder in which every episode gets a folder")
    parser.add_argument("--robot", default="gr1", help="embodiment: a name in config/embodiments/, or a YAML file")
    parser.add_argument("--instruction", default="", help="what the robot is to do; empty: as the topic `instruction` says")
    parser.add_argument("--sim-time", action="store_true", help="take the time from /clock")
    for argument in ARGUMENTS["record"]:
        if argument.name in OF_THE_GRAPH:
            parser.add_argument(f"--{argument.name.replace('_', '-')}", default=argument.default, help=argument.description)
    chosen = parser.parse_args(words)
    passed_on = {name: getattr(chosen, name) for name in OF_THE_GRAPH}
    recording = False
    try:
        nodes = graph("record", robot=chosen.robot, directory=str(chosen.out), use_sim_time=chosen.sim_time, **passed_on)
        with running(nodes, "record", namespace=chosen.namespace) as started:
            operator = Operator("record_operator", started.check_alive, namespace=chosen.namespace)
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
