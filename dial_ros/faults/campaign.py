"""Which scenarios there are, and how one is played: a freely running robot, the fault, the judgement."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dial_core.errors import DialError
from dial_ros.faults.clock_faults import CLOCK_FAULTS
from dial_ros.faults.controller_faults import CONTROLLER_FAULTS
from dial_ros.faults.fault_injector import Relayed
from dial_ros.faults.graph_under_test import GraphUnderTest
from dial_ros.faults.guard_faults import GUARD_FAULTS
from dial_ros.faults.operator_faults import OPERATOR_FAULTS
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.process_faults import PROCESS_FAULTS
from dial_ros.faults.request_faults import REQUESTS
from dial_ros.faults.resource_faults import DECOMPRESSION, RECORDINGS
from dial_ros.faults.second_publishers import SECOND_PUBLISHERS
from dial_ros.faults.stream_faults import STREAM_FAULTS
from dial_ros.faults.timing_faults import TIMING_FAULTS


class Scenario(Protocol):
    """One fault. `play` begins with a freely running robot and fills the outcome."""

    @property
    def name(self) -> str:
        """The row's name."""
        ...

    @property
    def quick(self) -> bool:
        """Whether it belongs to the short campaign."""
        ...

    def play(self, graph: GraphUnderTest, outcome: Outcome) -> None:
        """Injects the fault and checks what follows."""
        ...


@dataclass(frozen=True)
class ScenarioGroup:
    """Scenarios of one kind.

    Fields:
        title: heading of their table.
        injected: who injects them, and how.
        relayed: the streams that go through the injector meanwhile.
    """

    title: str
    injected: str
    relayed: Relayed
    scenarios: Sequence[Scenario]


GROUPS: tuple[ScenarioGroup, ...] = (
    ScenarioGroup(
        "Steps of System-1's clock, and two clocks",
        "`/clock` goes to System-1 through the injector, which shifts it; everybody else receives the robot's. The second clock is a "
        "node `second_clock` beside it.",
        Relayed.CLOCK,
        CLOCK_FAULTS,
    ),
    ScenarioGroup(
        "Controllers that do not play what was sent, and late trajectories",
        "The injector relays trajectories from System-1 to the controllers. Partitioned: it drops them. Rejecting: it gives the last "
        "point a velocity, which the controllers refuse. Inactive, restarted: service `<controller>/set_active` of the robot; the stop "
        "that this causes at once is not judged. Late: it sends them on later, beside its own 1 to 5 ms.",
        Relayed.COMMANDS,
        CONTROLLER_FAULTS,
    ),
    ScenarioGroup(
        "With the guard beside the controllers",
        "The injector relays trajectories from System-1 to the guard and delays them; a node `second_commander` publishes a step of "
        "0.3 rad in 10 ms on the guard's topic.",
        Relayed.GUARDED,
        GUARD_FAULTS,
    ),
    ScenarioGroup(
        "Second commanders and sources",
        "Nodes of the campaign, `second_commander` and `second_driver`, publish beside System-1 and the robot; the second systems are "
        "whole processes.",
        Relayed.INPUTS,
        SECOND_PUBLISHERS,
    ),
    ScenarioGroup(
        "Sequences of an operator",
        "Services and lifecycle transitions, called by the campaign.",
        Relayed.INPUTS,
        OPERATOR_FAULTS,
    ),
    ScenarioGroup(
        "Recorder",
        "A recorder beside the graph; the campaign removes its folder.",
        Relayed.INPUTS,
        RECORDINGS,
    ),
    ScenarioGroup(
        "Compressed images",
        "The injector compresses the camera's images, and puts the large one in their place.",
        Relayed.COMPRESSED,
        DECOMPRESSION,
    ),
    ScenarioGroup(
        "Streams",
        "The injector relays camera, joint states and foresight to System-1 (the camera also to System-2) and corrupts one of them.",
        Relayed.INPUTS,
        STREAM_FAULTS,
    ),
    ScenarioGroup(
        "Instructions and parameters",
        "Service requests of the campaign; nodes that it starts with a wrong parameter.",
        Relayed.INPUTS,
        REQUESTS,
    ),
    ScenarioGroup(
        "Timing",
        "The injector delays foresight or changes the camera's rate; busy processes run beside the nodes at their priority.",
        Relayed.INPUTS,
        TIMING_FAULTS,
    ),
    ScenarioGroup(
        "Ends of processes, and resets of the simulation",
        "Signals to the nodes' processes, `mujoco_robot/reset`.",
        Relayed.INPUTS,
        PROCESS_FAULTS,
    ),
)


def chosen_groups(quick: bool, part_of_name: str = "", done: frozenset[str] = frozenset()) -> list[ScenarioGroup]:
    """The groups with the scenarios of the short or the whole campaign whose name contains the text and is not in `done`.

    Raises:
        DialError: no scenario has such a name; the message lists the names.
    """
    every = [scenario.name for group in GROUPS for scenario in group.scenarios]
    if not any(part_of_name in name for name in every):
        raise DialError(f"no scenario has '{part_of_name}' in its name; there are: {', '.join(every)}")
    chosen = []
    for group in GROUPS:
        left = [s for s in group.scenarios if part_of_name in s.name and (s.quick or not quick) and s.name not in done]
        if left:
            chosen.append(ScenarioGroup(group.title, group.injected, group.relayed, left))
    return chosen


def play(graph: GraphUnderTest, scenario: Scenario, busy: int = 0) -> Outcome:
    """Plays one scenario and returns its outcome; a scenario that did not come to its end has a failed check that says why.

    `busy`: busy processes beside the graph, for the record.
    """
    outcome = Outcome(scenario.name, busy_processes=busy)
    try:
        graph.run_freely()
        graph.monitor.begin()
        scenario.play(graph, outcome)
    except DialError as error:
        outcome.check("came to its end", False, str(error))
    outcome.use = graph.monitor.limit_use()
    outcome.chunks = len({(s.published_chunks, s.instruction_id) for s in graph.monitor.statuses})
    rejected = graph.monitor.rejected
    if not outcome.expects_rejections:
        outcome.check("no rejected trajectory", not rejected, f"{len(rejected)}: {rejected[0]}" if rejected else "")
    use = outcome.use
    found = f"outside {use.outside_rad:.4f} rad, velocity {use.velocity:.3f}, acceleration {use.acceleration:.3f} of the limit"
    if use.set_points and not use.kept:
        name = re.sub(r"\W+", "_", scenario.name)
        found += f"; {graph.monitor.keep_worst(graph.log_dir / 'excesses' / f'{name}.npz')}"
    outcome.check("limits kept", use.kept and use.set_points > 0, found)
    outcome.load_average = os.getloadavg()[0]
    return outcome
