"""Whether System-1 may move the robot: a pure state machine over lifecycle, operator requests, instructions, clocks and inputs.

The node reports events and carries out the effects that each one returns. The state follows from five facts, most severe first:

    not active                    -> inactive   (lifecycle)
    emergency stop                -> stopped    (latched: survives pauses, instructions, clock steps and reactivation)
    paused                        -> paused
    no valid instruction          -> disarmed   (none yet, or one was voided: a new one is needed)
    an input is missing or stale  -> waiting before the first chunk, holding afterwards
    otherwise                     -> running

An instruction is voided by an emergency stop, a clock step, a controller that does not execute what it was sent, and a
deactivation. A voided id never arms again, whatever transitions follow: a robot must not start to move because a node was
restarted.

Degradation has two tiers. An input older than WARN_SHARE of its limit raises a warning. Beyond the limit the robot decelerates
and holds, and resumes when all inputs are fresh. (If System-1 itself dies, the last trajectory ends at rest; see `splice`.)
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto

WARN_SHARE = 0.5  # of an input's limit: an older input raises a warning
REMEMBERED_IDS = 1000  # voided instruction ids
NO_INSTRUCTION = "no instruction"


class State(Enum):
    """States of System-1; the names are those of System1Status."""

    INACTIVE = "inactive"  # not activated
    DISARMED = "disarmed"  # no valid instruction: publishes nothing
    WAITING = "waiting"  # armed, but an input has not arrived since, or is not fresh yet
    RUNNING = "running"  # publishes chunks
    HOLDING = "holding"  # an input went stale: decelerated to rest, resumes by itself
    PAUSED = "paused"  # on request; resumes on request
    STOPPED = "stopped"  # emergency stop, latched: needs a reset and then a new instruction


class Effect(Flag):
    """What the caller must do after an event, in this order."""

    NOTHING = 0
    HOLD = auto()  # publish one decelerating motion
    RESET_BUFFERS = auto()  # drop frames, joint states, foresight and chunks
    RESET_MOTION = auto()  # the time base of the commanded motion is gone: start from the measured joints


@dataclass(frozen=True)
class Input:
    """One stream that System-1 depends on.

    Fields:
        age_s: age of its newest value [s]; None before the first.
        timeout_s: limit [s].
        refusal: why the newest value was refused, if it was; reported where the input is missing or stale.
    """

    age_s: float | None
    timeout_s: float
    refusal: str = ""

    @property
    def stale(self) -> bool:
        """Whether it is older than the limit."""
        return self.age_s is not None and self.age_s > self.timeout_s

    def complaint(self, name: str) -> str:
        """What is wrong with it, with the values."""
        what = f"no {name}" if self.age_s is None else f"{name} {self.age_s:.2f} s old (limit {self.timeout_s:.2f} s)"
        return f"{what}, refused: {self.refusal}" if self.refusal else what


class Arming:
    """The state machine. Every event method returns the effects that the caller must carry out; `now_ns` is ROS time."""

    def __init__(self) -> None:
        self.state = State.INACTIVE
        self.reason = "not active"
        self.warning = (
            ""  # running: inputs that grow old; disarmed: inputs that are refused; paused, stopped: an instruction without effect
        )
        self.changed_ns = 0
        self.instruction_id = ""
        self.bad: frozenset[str] = frozenset()  # inputs missing or stale at the last `update`
        self._active = self._stopped = self._paused = self._armed = False
        self._disarmed_because = NO_INSTRUCTION
        self._voided: deque[str] = deque(maxlen=REMEMBERED_IDS)

    @property
    def stopped(self) -> bool:
        """Whether an emergency stop is latched, active or not."""
        return self._stopped

    def activate(self, now_ns: int) -> Effect:
        """Activates the node. An emergency stop stays latched; a pause ends."""
        self._active, self._paused = True, False
        self._disarm(NO_INSTRUCTION)
        self.instruction_id = ""
        return self._settle(now_ns)

    def deactivate(self, now_ns: int) -> Effect:
        """Deactivates the node and voids the current instruction."""
        self._active = False
        self._disarm(NO_INSTRUCTION)
        return self._settle(now_ns)

    def instruct(self, instruction_id: str, now_ns: int) -> Effect:
        """Arms for a new instruction, which replaces the current one; the same id again changes nothing.

        Call it only with what is published while System-1 is active, never with what a latched topic repeats: `activate` alone must
        not move the robot.
        """
        if instruction_id == self.instruction_id or instruction_id in self._voided:
            return Effect.NOTHING
        self.instruction_id = instruction_id
        if self._stopped:
            # Whoever resets the stop must not be surprised by a motion.
            self._disarm("an emergency stop was reset; send a new instruction")
        else:
            self._armed = True
        effect = self._settle(now_ns)
        if self.state is State.STOPPED:
            self.warning = "the new instruction will not move the robot; send another one after the emergency stop is reset"
        elif self.state is State.PAUSED:
            self.warning = "the new instruction moves the robot only after the pause ends"
        return effect

    def pause(self, now_ns: int) -> Effect:
        """Decelerates and stays at rest until `resume`."""
        self._paused = True
        return self._settle(now_ns)

    def resume(self, now_ns: int) -> Effect:
        """Ends a pause; everything received before is dropped."""
        if not self._paused:
            return Effect.NOTHING
        self._paused = False
        return self._settle(now_ns) | Effect.RESET_BUFFERS

    def estop(self, why: str, now_ns: int) -> Effect:
        """Decelerates at once and latches; requested again it decelerates again."""
        self._stopped = True
        self._disarm("an emergency stop was reset; send a new instruction")
        return self._settle(now_ns, f"emergency stop: {why}") | (Effect.HOLD if self._active else Effect.NOTHING)

    def reset_estop(self, now_ns: int) -> Effect:
        """Unlatches; nothing moves before a new instruction."""
        if not self._stopped:
            return Effect.NOTHING
        self._stopped = False
        return self._settle(now_ns) | Effect.RESET_BUFFERS

    def clock_stepped(self, what: str, now_ns: int, restarted: bool) -> Effect:
        """Disarms after a clock step; a new instruction arms again.

        Args:
            what: which clock stepped and how far; begins the reason.
            restarted: the robot's own clock went back, so nothing commanded before has a meaning: no hold is published (its
                stamps would lie ahead of the robot), and the last trajectory ends at rest. Otherwise a hold is published.
        """
        self._disarm(f"{what}; send a new instruction")
        self._settle(now_ns)
        if restarted:
            return Effect.RESET_BUFFERS | Effect.RESET_MOTION
        return Effect.RESET_BUFFERS | (Effect.HOLD if self._active else Effect.NOTHING)

    def diverged(self, what: str, now_ns: int) -> Effect:
        """Disarms because controllers do not execute what they were sent; `what` names them.

        A hold is published where the robot ran. Where it holds already, another one could only disturb what somebody else commands.
        Once disarmed, paused or not, nothing changes: joints may stay elsewhere for long.
        """
        if not self._armed:
            return Effect.NOTHING
        self._disarm(f"{what}; send a new instruction")
        return self._settle(now_ns) | Effect.RESET_BUFFERS

    def update(self, inputs: Mapping[str, Input], now_ns: int) -> Effect:
        """Evaluates the inputs (name -> Input)."""
        if self.state is State.DISARMED:
            refused = [f"{name} refused: {stream.refusal}" for name, stream in inputs.items() if stream.refusal]
            self.warning = f"an instruction would not move the robot: {'; '.join(refused)}" if refused else ""
        if self.state not in (State.WAITING, State.RUNNING, State.HOLDING):
            return Effect.NOTHING
        missing = [name for name, stream in inputs.items() if stream.age_s is None]
        self.bad = frozenset(name for name, stream in inputs.items() if stream.stale or stream.age_s is None)
        complaints = [stream.complaint(name) for name, stream in inputs.items() if name in self.bad]
        if not complaints:
            old = [stream.complaint(name) for name, stream in inputs.items() if stream.age_s > WARN_SHARE * stream.timeout_s]  # type: ignore[operator]
            self.warning = f"continuing with {'; '.join(old)}" if old else ""
            return self._change(State.RUNNING, "", now_ns)
        if self.state is State.RUNNING:
            return self._change(State.HOLDING, "; ".join(complaints), now_ns)
        if self.state is State.WAITING:
            refusals = [f"{name} refused: {inputs[name].refusal}" for name in missing if inputs[name].refusal]
            waiting = [*missing, *refusals] if missing else ["fresh input: " + "; ".join(complaints)]
            return self._change(State.WAITING, "waiting for " + ", ".join(waiting), now_ns)
        # The reason that led to the hold stays until all is fresh: ages in it would change with every update.
        return Effect.NOTHING

    def _disarm(self, because: str) -> None:
        if self.instruction_id and self.instruction_id not in self._voided:
            self._voided.append(self.instruction_id)
        self._armed, self._disarmed_because = False, because

    def _settle(self, now_ns: int, stop_reason: str = "") -> Effect:
        """The state that the facts ask for; an armed System-1 starts with waiting."""
        if not self._active:
            return self._change(State.INACTIVE, "not active", now_ns)
        if self._stopped:
            kept = self.reason if self.state is State.STOPPED else "emergency stop from before the activation"
            return self._change(State.STOPPED, stop_reason or kept, now_ns)
        if self._paused:
            effect = self._change(State.PAUSED, "paused on request", now_ns)
            if not self._armed and self._disarmed_because != NO_INSTRUCTION:
                self.warning = f"the pause ends disarmed: {self._disarmed_because}"
            return effect
        if not self._armed:
            return self._change(State.DISARMED, self._disarmed_because, now_ns)
        return self._change(State.WAITING, "waiting for the first foresight of a new instruction", now_ns)

    def _change(self, state: State, reason: str, now_ns: int) -> Effect:
        """Enters `state`; leaving running requires a hold."""
        leaves = self.state is State.RUNNING and state is not State.RUNNING
        if state is not self.state:
            self.changed_ns = now_ns
        if state is not State.RUNNING:
            self.warning = ""
        self.state, self.reason = state, reason
        return Effect.HOLD if leaves else Effect.NOTHING
