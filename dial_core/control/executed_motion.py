"""What the controllers really execute: which of the sent motions each of them plays, how late it came, and who plays none of them.

A controller that misses a message (lost, rejected, inactive, restarted) plays something else than was sent last, and the next
motion that it accepts would be a step. ros2_control's controllers report what they execute (`controller_state`: reference); where
one does, the next motion is spliced into that (which motion it is: see `played_motion`). Measured joints are compared with what is
reported, or with what was commanded where nothing is (see `measured_divergence`): with motors that are cut references advance alone.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dial_core.control.latencies import Latencies
from dial_core.control.measured_divergence import MeasuredDivergence, measured_error
from dial_core.control.motion import NANOSECONDS, JointMotion, merged
from dial_core.control.newest_motion import NewestMotion
from dial_core.control.played_motion import SentMotion, distinct_origin_ns
from dial_core.control.reporting_controller import ReportingController
from dial_core.finiteness import not_finite

REMEMBERED_MOTIONS = 8
PATIENCE_S = 1.0  # a controller that executes nothing of what was sent for so long has diverged, as one that is apart from its joints
REPORTS_S = 1.0  # a controller is believed to report what it executes for so long after its last report
GAP_S = 0.5  # a longer interval between joint states taken in is a gap: reports of that time may still be queued
HEARD_S = 3.0  # the newest joint state may be so old before controllers are judged without it
NAMES_NO_ORIGIN = (
    "it reports without time_from_start, and is not exactly where it was sent: ros2_controllers 4.34.0 (Jazzy) or 5.9.0 (Kilted) report it"
)


class ExecutedMotion:
    """Compares what was sent with what controllers report and joints show. All times are the robot's."""

    def __init__(
        self,
        controllers: Mapping[str, Sequence[int]],
        joint_names: Sequence[str],
        max_divergence_rad: float,
        fingers: np.ndarray | None = None,
    ) -> None:
        """Nothing was sent yet.

        Args:
            controllers: name -> columns in a motion.
            max_divergence_rad: farthest measured joints may be from what is reported or, where a controller does not report, commanded.
            fingers: True (J,) for the joints of which this does not count; None: none.
        """
        self.fingers = fingers
        self._controllers = {name: ReportingController(np.array(columns, dtype=np.intp)) for name, columns in controllers.items()}
        self._joint_names = tuple(joint_names)
        self._divergence = MeasuredDivergence(joint_names, max_divergence_rad, fingers)
        self._sent: deque[SentMotion] = deque(maxlen=REMEMBERED_MOTIONS)
        self.latencies = Latencies()
        self._renewed = False  # a new request was made, and no motion has been sent since
        self._requested_ns: int | None = None  # when the last request was made
        self._measured_ns: int | None = None  # of the newest joint state
        self._heard_from_ns: int | None = None  # since when joint states have arrived without a gap
        self.apart: dict[str, str] = {}  # by the newest joint state: reporting controllers whose joints are elsewhere, with why
        self.lost = 0  # motions that a controller did not execute although it reports

    @property
    def reports_any(self) -> bool:
        """Whether any controller has ever reported what it executes."""
        return any(controller.reported_ns is not None for controller in self._controllers.values())

    @property
    def chunk_lead_s(self) -> float:
        """Time that a chunk must be sent before it takes over, by the latencies [s].

        Where no controller names the origin of what it plays, a motion is not noticed before it takes over: in time or not is all that
        is known of its latency, so that caution would never end.
        """
        controllers = self._controllers.values()
        measured = any(c.names_origin for c in controllers) or not any(c.begun_ns for c in controllers)
        return self.latencies.chunk_lead_s if measured else self.latencies.stop_lead_s

    def without_origin(self, name: str) -> bool:
        """Whether a controller plays what it was sent and does not say how long (see `played_motion`)."""
        return self._controllers[name].begun_ns > 0 and not self._controllers[name].names_origin

    def witnessed_ns(self, now_ns: int) -> int | None:
        """The time that the whole robot has shown [ns]: the earliest of the newest stamps of controllers' reports and of joint states.

        None: nothing has arrived within REPORTS_S. What has not is left out, as a controller that never reports is.
        """
        stamps_ns = [controller.reported_ns for controller in self._controllers.values()] + [self._measured_ns]
        recent_ns = [stamp_ns for stamp_ns in stamps_ns if stamp_ns is not None and now_ns - stamp_ns < REPORTS_S * NANOSECONDS]
        return min(recent_ns, default=None)

    def sent(self, motion: JointMotion, sent_ns: int, takes_over_ns: int) -> None:
        """A motion was published. Controllers that executed another one until now have lost the one before."""
        wrong = [controller for controller in self._controllers.values() if controller.wrong_since_ns is not None]
        self.lost += len(wrong)
        for controller in wrong if self._renewed else ():
            controller.wrong_since_ns = takes_over_ns
        self._renewed = False
        self._sent.append(SentMotion(motion, sent_ns, takes_over_ns))

    def renew_patience(self, now_ns: int | None) -> None:
        """After a new request no controller has diverged before it had PATIENCE_S to report, and to execute what is sent from now on.

        While nothing is sent, as after a divergence, a controller that is back again cannot show it; one that was activated a moment
        ago is about to report. `now_ns`: None if the robot's time is unknown.
        """
        self._renewed, self._requested_ns = True, now_ns

    def distinct_origin_ns(self, origin_ns: int) -> int:
        """This origin, or an earlier one where it is too close to that of a motion that was sent for reports to tell the two apart."""
        return distinct_origin_ns(origin_ns, [sent.motion.origin_ns for sent in self._sent])

    def reset(self) -> None:
        """Drops what was sent (the robot's time began again)."""
        self._sent.clear()
        self.apart = {}
        self._requested_ns = self._measured_ns = self._heard_from_ns = None
        for controller in self._controllers.values():
            controller.reset()

    def forget_sent(self) -> None:
        """Drops what was sent, and keeps what controllers report: somebody else may have commanded them."""
        self._sent.clear()
        for controller in self._controllers.values():
            controller.forget_sent()

    def shift(self, step_ns: int) -> None:
        """The robot's clock was set by `step_ns`: controllers play on, at other dates."""

        def moved(sent: SentMotion) -> SentMotion:
            motion = replace(sent.motion, origin_ns=sent.motion.origin_ns + step_ns)
            return SentMotion(motion, sent.sent_ns + step_ns, sent.takes_over_ns + step_ns)

        renewed = {id(sent): moved(sent) for sent in self._sent}
        self._sent = deque(renewed.values(), maxlen=REMEMBERED_MOTIONS)
        self._requested_ns, self._measured_ns, self._heard_from_ns = (
            None if time_ns is None else time_ns + step_ns for time_ns in (self._requested_ns, self._measured_ns, self._heard_from_ns)
        )
        for controller in self._controllers.values():
            controller.shift(step_ns)
            controller.plays = renewed.get(id(controller.plays))

    def skip(self, now_ns: int, step_ns: int) -> None:
        """A simulator's clock went forward to `now_ns`, controllers with it: what they reported before says nothing of now."""
        for controller in self._reporting(now_ns - step_ns).values():
            controller.skipped_to_ns = now_ns

    def note_reference(self, name: str, time_ns: int, origin_ns: int | None, position: np.ndarray) -> str:
        """A controller reports what it executes. Returns why the report is refused; empty if it is taken.

        A refused report counts as none: a controller that gives no others is silent, so that no chunk is sent, and diverged in the end.

        Args:
            time_ns: of the report.
            origin_ns: of the trajectory that it plays; None if it plays none, or never says.
            position: reference of its joints then (J',) [rad].
        """
        controller, newest = self._controllers[name], self._sent[-1] if self._sent else None
        found = not_finite(position, [self._joint_names[column] for column in controller.columns])
        controller.refused = f"{name} reports a reference that it cannot execute: {found}" if found else ""
        if found:
            return controller.refused
        if controller.reported_ns is not None and time_ns > controller.reported_ns:
            controller.gaps_ns.append(time_ns - controller.reported_ns)
        played = controller.played(self._sent, time_ns, origin_ns, position)
        controller.plays, controller.decided, controller.early_s = played.sent, played.decided, played.early_s
        controller.names_origin |= origin_ns is not None
        approaches = not controller.names_origin and newest is not None and time_ns < newest.motion.begin_ns  # its first point
        controller.moved = not approaches and controller.moved_to(position)
        controller.note_position(time_ns, position)
        if newest is None:
            return ""
        started = played.sent if played.proves else None
        if started is not None and controller.begun_ns < started.sent_ns <= time_ns:
            controller.begun_ns = started.sent_ns
            measured = controller.names_origin or controller.wrong_since_ns is not None
            self.latencies.note(started.sent_ns, (time_ns - started.sent_ns) / NANOSECONDS if measured else None)
        if controller.plays is newest:
            controller.wrong_since_ns = None
        elif NewestMotion(newest, [controller]).missed_by and controller.wrong_since_ns is None:
            controller.wrong_since_ns = newest.takes_over_ns
        return ""

    def executed(self, running: JointMotion, now_ns: int) -> JointMotion:
        """`running` with the joints of every controller that is known to execute something else doing that.

        Known: it said so after the newest motion should have taken over. Before that the newest, which was spliced into what the
        controller executed then, may still be on its way.
        """
        newest = self._newest(now_ns)
        for controller in newest.missed_by if newest else ():
            if controller.plays is not None:
                running = merged(running, controller.plays.motion, controller.columns)
            else:
                chosen, position = np.zeros(len(self._joint_names), dtype=bool), np.zeros(len(self._joint_names))
                chosen[controller.columns], position[controller.columns] = True, controller.position
                running = running.relocated(chosen, position)
        return running

    def references(self, now_ns: int) -> np.ndarray:
        """What controllers report as their reference (J,) [rad]: they stand there, wherever the joints are; NaN where none reports."""
        known = np.full(len(self._joint_names), np.nan)
        for controller in self._reporting(now_ns).values():
            known[controller.columns] = controller.position
        return known

    def in_doubt(self, now_ns: int) -> bool:
        """Whether a controller may have the newest motion by now, or not: until it reports, nothing can be spliced into that."""
        newest = self._newest(now_ns)
        return newest is not None and newest.in_doubt(now_ns)

    def awaits_report(self, now_ns: int, takes_over_ns: int) -> bool:
        """Whether a motion that takes over then must wait for a report: of a controller that should have shown the newest by now."""
        newest = self._newest(now_ns)
        return newest is not None and takes_over_ns > newest.sent.takes_over_ns and newest.overdue(now_ns, self.latencies.stop_lead_s)

    def moves_on(self, now_ns: int) -> bool:
        """Whether a controller has certainly lost the newest motion, and moves by an earlier one."""
        newest = self._newest(now_ns)
        return newest is not None and newest.moves_on(now_ns)

    def unconfirmed(self, now_ns: int) -> list[str]:
        """Controllers that report and have not shown yet whether they play the newest motion, or have lost it."""
        newest = self._newest(now_ns)
        return [name for name, c in self._reporting(now_ns).items() if newest and newest.unconfirmed_by(c)]

    def pending_s(self, now_ns: int) -> float:
        """How long the newest motion has been on its way [s]; 0 if no controller waits for it, see `NewestMotion`."""
        newest = self._newest(now_ns)
        return 0.0 if newest is None else newest.pending_s(now_ns)

    def moved_by_others(self, now_ns: int) -> list[str]:
        """Controllers that report a motion which was not sent from here: where they are when a motion takes over is not known.

        A guard holds them, or somebody gave them a goal without being a publisher of the topic (an action).
        """
        return [name for name, c in self._controllers.items() if c.plays is None and c.moved and self._reports(c, now_ns)]

    def silent(self, now_ns: int) -> list[str]:
        """Controllers that reported what they execute and have stopped: inactive, restarted or out of reach, so nothing is known."""
        return [name for name, controller in self._controllers.items() if controller.silent_for_s(now_ns)]

    def unknown(self, now_ns: int) -> list[str]:
        """Controllers that have been silent for so long that whatever they were sent has ended (while one is silent no chunk is sent)."""
        return [name for name, controller in self._controllers.items() if controller.silent_for_s(now_ns) > REPORTS_S]

    def note_measured(self, running: JointMotion | None, time_ns: int, positions: np.ndarray) -> None:
        """Compares measured joints (J,) [rad] with what was reported shortly before or, of controllers that do not report, commanded."""
        if self._measured_ns is None or not 0 <= time_ns - self._measured_ns <= GAP_S * NANOSECONDS:
            self._heard_from_ns = time_ns
        self._measured_ns = time_ns
        found = {name: self._divergence.from_reference(name, c, positions) for name, c in self._reporting(time_ns).items()}
        self.apart = {name: why for name, why in found.items() if why}
        for name, controller in self._controllers.items():
            controller.note_apart(time_ns if name in self.apart else None)
        unreported = [controller for controller in self._controllers.values() if not self._reports(controller, time_ns)]
        if not unreported or running is None or time_ns < running.origin_ns:
            return
        off = measured_error(running, time_ns, positions)
        for controller in unreported:
            if not self._divergence.is_far(off, controller.columns):
                controller.wrong_since_ns = None
            elif controller.wrong_since_ns is None:
                controller.wrong_since_ns = time_ns
            controller.position = positions[controller.columns]

    def diverged(self, running: JointMotion | None, now_ns: int) -> dict[str, str]:
        """Controllers that have been silent, were apart from their joints, or executed nothing of what was sent, for PATIENCE_S, with why.

        Silent: while joint states arrived. Where they are missing too, this process has not been scheduled, or receives nothing from the
        robot, and the state machine holds for it; after such a gap the reports of that time may be read later than the joint states.
        Only a gap of HEARD_S counts as silence all the same.
        """
        if self._measured_ns is not None and now_ns - self._measured_ns < HEARD_S * NANOSECONDS:
            now_ns = min(now_ns, self._measured_ns)
        heard_s = float("inf") if self._heard_from_ns is None else (now_ns - self._heard_from_ns) / NANOSECONDS
        silent_s = {name: min(controller.silent_for_s(now_ns), heard_s) for name, controller in self._controllers.items()}
        if self._requested_ns is not None and now_ns - self._requested_ns <= PATIENCE_S * NANOSECONDS:
            silent_s = {}
        found = {
            name: f"{name} has not reported for {s:.1f} s what it executes{f' ({why})' if (why := self._controllers[name].refused) else ''}"
            for name, s in silent_s.items()
            if s > PATIENCE_S
        }
        found |= {name: self.apart[name] for name, c in self._controllers.items() if c.apart_s(self._measured_ns) >= PATIENCE_S}
        if self._renewed:
            return found
        for name, controller in self._controllers.items():
            if running is None or controller.wrong_since_ns is None or now_ns - controller.wrong_since_ns < PATIENCE_S * NANOSECONDS:
                continue
            off = np.abs(running.sample(now_ns)[0][controller.columns] - controller.position)
            if not self._reports(controller, now_ns):  # the position is measured
                off = self._divergence.counted(off, controller.columns)
            worst = int(off.argmax())
            found[name] = (
                f"{name} does not execute what it is sent: {self._joint_names[controller.columns[worst]]} is {off[worst]:.2f} rad off"
                f"{f'; {NAMES_NO_ORIGIN}' if controller.moved and not controller.names_origin else ''}"
            )
        return found

    def _newest(self, now_ns: int) -> NewestMotion | None:
        """The motion that was sent last, to the controllers that report; None before the first."""
        return NewestMotion(self._sent[-1], self._reporting(now_ns).values()) if self._sent else None

    def _reporting(self, now_ns: int) -> dict[str, ReportingController]:
        return {name: controller for name, controller in self._controllers.items() if self._reports(controller, now_ns)}

    def _reports(self, controller: ReportingController, now_ns: int) -> bool:
        newest_ns = controller.skipped_to_ns or controller.reported_ns
        return newest_ns is not None and now_ns - newest_ns < REPORTS_S * NANOSECONDS
