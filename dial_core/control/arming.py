"""Whether System-1 may move the robot: one pure state machine over lifecycle, requests, instruction, clock and inputs.

The node hands over what happens and does what comes back. State follows from five facts, the gravest first:

    not active                    -> inactive   (lifecycle)
    emergency stop                -> stopped    (latched: survives pauses, instructions, clock jumps, even reactivation)
    paused                        -> paused
    no valid instruction          -> disarmed   (none yet, or the clock jumped, or a stop was reset: a new one is needed)
    an input is missing or stale  -> waiting before the first chunk, holding after
    otherwise                     -> running

Degradation has two tiers. An input that grows old first only warns: System-1 goes on within the input's limit, which for
the foresight is the horizon. Beyond the limit the robot decelerates and holds, and goes on by itself. (If System-1 itself
dies, the last motion's end at rest stops the robot with nobody alive; that is `stitching`'s business.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto

WARN_SHARE = 0.5  # of an input's limit: older than this, it is told that System-1 goes on with old news


class State(Enum):
    """States of System-1; the names are those of System1Status."""

    INACTIVE = "inactive"  # not activated
    DISARMED = "disarmed"  # no valid instruction: publishes nothing
    WAITING = "waiting"  # armed, but an input has not arrived since, or is not fresh yet
    RUNNING = "running"  # publishes chunks
    HOLDING = "holding"  # an input went stale: decelerated to a stop, goes on by itself
    PAUSED = "paused"  # on request; goes on when asked to
    STOPPED = "stopped"  # emergency stop, latched: goes on only after a reset and a new instruction


class Effect(Flag):
    """What the caller must do after an event, in this order."""

    NOTHING = 0
    HOLD = auto()  # send one decelerating motion now
    FORGET = auto()  # drop frames, joints, foresight and chunks: the next motion starts from what is measured then


@dataclass(frozen=True)
class Input:
    """One stream that System-1 lives on.

    Fields:
        age_s: of its newest value [s]; None before the first.
        timeout_s: limit [s].
        refusal: why the last value that came was not taken, if it was not; told where the input is missing or stale.
    """

    age_s: float | None
    timeout_s: float
    refusal: str = ""

    @property
    def stale(self) -> bool:
        """Older than the limit."""
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
        self.warning = ""  # while running: which inputs grow old; while disarmed: which are refused
        self.changed_ns = 0
        self.instruction_id = ""
        self._active = self._stopped = self._paused = self._armed = False
        self._disarmed_because = "no instruction"

    @property
    def stopped(self) -> bool:
        """An emergency stop is latched, whether or not the node is active."""
        return self._stopped

    def activate(self, now_ns: int) -> Effect:
        """The node became active. An emergency stop from before still holds; a pause does not."""
        self._active, self._paused = True, False
        self._disarm("no instruction")
        self.instruction_id = ""
        return self._settle(now_ns)

    def deactivate(self, now_ns: int) -> Effect:
        """The node ends or rests; the instruction is forgotten."""
        self._active = False
        return self._settle(now_ns)

    def instruct(self, instruction_id: str, now_ns: int) -> Effect:
        """A new instruction replaces the one before; the same id again changes nothing.

        The id that was current before a clock jump or an emergency stop does not arm again: only a new request does.
        """
        if instruction_id == self.instruction_id:
            return Effect.NOTHING
        self.instruction_id = instruction_id
        # One that comes during an emergency stop is void: whoever resets the stop must not be surprised by it.
        self._armed = not self._stopped
        return self._settle(now_ns)

    def pause(self, now_ns: int) -> Effect:
        """Decelerates and stays until `resume`."""
        self._paused = True
        return self._settle(now_ns)

    def resume(self, now_ns: int) -> Effect:
        """Ends a pause: everything seen before is dropped, and the motion starts from the measured joints."""
        if not self._paused:
            return Effect.NOTHING
        self._paused = False
        return self._settle(now_ns) | Effect.FORGET

    def estop(self, why: str, now_ns: int) -> Effect:
        """Decelerates at once and latches; asked for again it decelerates again."""
        self._stopped = True
        self._disarm("an emergency stop was reset; send a new instruction")
        return self._settle(now_ns, f"emergency stop: {why}") | (Effect.HOLD if self._active else Effect.NOTHING)

    def reset_estop(self, now_ns: int) -> Effect:
        """Unlatches; nothing moves before a new instruction."""
        if not self._stopped:
            return Effect.NOTHING
        self._stopped = False
        return self._settle(now_ns) | Effect.FORGET

    def clock_jumped(self, now_ns: int) -> Effect:
        """The clock went back: nothing seen before has a meaning; publishes nothing until a new instruction."""
        self._disarm("the clock jumped back; send a new instruction")
        self._settle(now_ns)
        return Effect.FORGET  # no hold: its stamps would mean nothing, and the last motion ends at rest

    def update(self, inputs: Mapping[str, Input], now_ns: int) -> Effect:
        """Judges the inputs (name -> Input)."""
        if self.state is State.DISARMED:
            refused = [f"{name} refused: {stream.refusal}" for name, stream in inputs.items() if stream.refusal]
            self.warning = f"an instruction would not move the robot: {'; '.join(refused)}" if refused else ""
        if self.state not in (State.WAITING, State.RUNNING, State.HOLDING):
            return Effect.NOTHING
        missing = [name for name, stream in inputs.items() if stream.age_s is None]
        bad = [stream.complaint(name) for name, stream in inputs.items() if stream.stale or stream.age_s is None]
        if not bad:
            old = [stream.complaint(name) for name, stream in inputs.items() if stream.age_s > WARN_SHARE * stream.timeout_s]  # type: ignore[operator]
            self.warning = f"going on with {'; '.join(old)}" if old else ""
            return self._change(State.RUNNING, "", now_ns)
        if self.state is State.RUNNING:
            return self._change(State.HOLDING, "; ".join(bad), now_ns)
        if self.state is State.WAITING:
            refusals = [f"{name} refused: {inputs[name].refusal}" for name in missing if inputs[name].refusal]
            waiting = [*missing, *refusals] if missing else ["fresh input: " + "; ".join(bad)]
            return self._change(State.WAITING, "waiting for " + ", ".join(waiting), now_ns)
        # The reason that led to the hold stays until all is fresh: ages in it would change with every look.
        return Effect.NOTHING

    def _disarm(self, because: str) -> None:
        self._armed, self._disarmed_because = False, because

    def _settle(self, now_ns: int, stop_reason: str = "") -> Effect:
        """The state that the facts ask for; an armed System-1 starts with waiting."""
        if not self._active:
            return self._change(State.INACTIVE, "not active", now_ns)
        if self._stopped:
            kept = self.reason if self.state is State.STOPPED else "emergency stop from before the activation"
            return self._change(State.STOPPED, stop_reason or kept, now_ns)
        if self._paused:
            return self._change(State.PAUSED, "paused on request", now_ns)
        if not self._armed:
            return self._change(State.DISARMED, self._disarmed_because, now_ns)
        return self._change(State.WAITING, "waiting for the first foresight of a new instruction", now_ns)

    def _change(self, state: State, reason: str, now_ns: int) -> Effect:
        """Goes over to `state`; whoever leaves running must decelerate."""
        leaves = self.state is State.RUNNING and state is not State.RUNNING
        if state is not self.state:
            self.changed_ns = now_ns
        if state is not State.RUNNING:
            self.warning = ""
        self.state, self.reason = state, reason
        return Effect.HOLD if leaves else Effect.NOTHING
