"""Nodes that end, by request or by force, and a world whose clock jumps back."""

import signal
import time
from dataclasses import dataclass

from dial_core.control.motion import NANOSECONDS, to_ns
from dial_ros.faults.outcome import Outcome
from dial_ros.faults.stage import GraphUnderTest
from dial_ros.faults.stream_faults import HORIZON_S, REST_LIMIT_S, TOLD_LIMIT_S, told_after_s, watch_recovery
from dial_ros.msg import System1Status

EXIT_LIMIT_S = 10.0
CLOCK_TIMEOUT_S = 3.0  # System-1's default


@dataclass(frozen=True)
class Death:
    """A node gets a signal in the middle of a motion, and is started again."""

    node: str
    number: signal.Signals
    quick: bool = False

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.node} {self.number.name}"

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Ends the node, watches what the others do, starts it again."""
        begin_ns, before = stage.witness.now_ns, stage.system1
        status = stage.end_node(self.node, self.number, EXIT_LIMIT_S)
        wanted = -self.number if self.number == signal.SIGKILL else 0
        outcome.check(f"exit status {int(wanted)}", status == wanted, str(status))
        if self.node == "mujoco_robot":
            self._watch_silence(stage, outcome)
        else:
            self._watch_robot(stage, outcome, begin_ns, before)
        stage.start_again(self.node)
        # Whoever starts a robot's node again also tells it what to do: no motion may come out of the past.
        stage.run_freely()
        watch_recovery(stage, outcome, stage.witness.now_ns)

    def _watch_silence(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """With the robot its clock is gone: System-1 must notice that by the clock on the wall."""
        began_s = time.monotonic()
        clock_stands = "clock"
        stage.until(lambda: stage.in_state(System1Status.STATE_HOLDING) and clock_stands in stage.system1.reason, "a hold", 15)
        waited_s = time.monotonic() - began_s
        outcome.check_time("holds for want of a clock (wall time)", waited_s, CLOCK_TIMEOUT_S + TOLD_LIMIT_S)

    def _watch_robot(self, stage: GraphUnderTest, outcome: Outcome, begin_ns: int, before: System1Status) -> None:
        """With System-1 dead its last motion must end by itself; with System-2 dead System-1 must hold and say why."""
        stage.until(lambda: stage.witness.rests_for_s() > 0.5, "the set-points to rest", 20)
        outcome.resting_after_s = max((stage.witness.last_moved_ns - begin_ns) / NANOSECONDS, 0.0)
        outcome.check_time("rests", outcome.resting_after_s, REST_LIMIT_S)
        if self.node == "system2":
            stage.until(lambda: stage.in_state(System1Status.STATE_HOLDING), "System-1 to hold")
            outcome.stopping_after_s = (to_ns(stage.system1.last_change) - begin_ns) / NANOSECONDS
            outcome.check_time("decelerates", outcome.stopping_after_s, HORIZON_S + 0.1)  # a foresight may be under way
            outcome.told_after_s = told_after_s(stage.witness.statuses, before, "words:foresight", begin_ns)
            outcome.check_time("tells words:foresight", outcome.told_after_s, TOLD_LIMIT_S)


@dataclass(frozen=True)
class ClockJumps:
    """The simulated world is reset again and again while the robot works."""

    count: int
    quick: bool

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"clock jumps back, {self.count} times"

    def play(self, stage: GraphUnderTest, outcome: Outcome) -> None:
        """Resets, waits for System-1 to disarm, checks that nothing is published, instructs anew."""
        told = []
        for seed in range(self.count):
            stage.reset(100_000 + seed)
            stage.until(lambda: stage.in_state(System1Status.STATE_DISARMED), "System-1 to disarm")
            told.append(to_ns(stage.system1.last_change) / NANOSECONDS)  # the clock began again at zero
            chunks = stage.system1.published_chunks
            stage.during(0.5)
            outcome.check("publishes nothing disarmed", stage.system1.published_chunks == chunks)
            stage.run_freely()
        outcome.told_after_s = max(told)
        outcome.check_time("tells the clock jumped back, at the slowest", outcome.told_after_s, TOLD_LIMIT_S)


_QUICK = {("system1", signal.SIGKILL), ("system2", signal.SIGKILL)}
DEATHS: tuple[Death | ClockJumps, ...] = (
    ClockJumps(3, quick=True),
    ClockJumps(20, quick=False),
    *(
        Death(node, number, quick=(node, number) in _QUICK)
        for node in ("system1", "system2", "mujoco_robot")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    ),
)
