"""Computes chunks beside the executor: the newest whole frame in, a chunk spliced into the commanded motion out."""

import time
from dataclasses import replace
from threading import RLock

import numpy as np

from dial_core.control.arming import Arming, Input, State
from dial_core.control.foresight_gate import Foresight, ForesightGate
from dial_core.control.motion import NANOSECONDS
from dial_core.control.send_conditions import MotionStartingError, SpliceMissedError
from dial_core.control.splice import ChunkTooLateError
from dial_core.control.tracing import TraceRow
from dial_core.finiteness import NotFiniteError
from dial_core.inference.policy_loop import PolicyLoop
from dial_ros.node.lifecycle import DialNode
from dial_ros.node.worker import Worker
from dial_ros.system1.configured_system1 import ConfiguredSystem1
from dial_ros.system1.senses import SensedFrame
from dial_ros.system1.status_report import Report


class ChunkWorker:
    """One thread from activation to deactivation. `lock` guards arming, gate and commander, which it shares with the executor."""

    def __init__(self, node: DialNode, parts: ConfiguredSystem1, arming: Arming, gate: ForesightGate, report: Report, lock: RLock) -> None:
        self._node, self._parts, self._arming, self._report, self._lock = node, parts, arming, report, lock
        self._loop = PolicyLoop(parts.session, parts.embodiment, gate, parts.commander.plan)
        # Half a millisecond of grace: stamps of a 20 Hz camera are no exact multiples.
        self._period_ns = NANOSECONDS / node.value("chunk_rate_hz") - 500_000
        self._timeout_s = max(node.value("chunk_timeout"), 2.0 / node.value("chunk_rate_hz"))
        self._epoch = 0  # counts resets: a chunk whose inference started before one is not sent after it
        self._last_used_ns: int | None = None
        self._usable_ns = node.now_ns()
        self._worker: Worker[SensedFrame] = Worker("system1", self._compute, node.fail_with)

    @property
    def wanted(self) -> bool:
        """Whether chunks are computed: while running, and in a hold that lasts only until chunks come in time again."""
        return self._arming.state is State.RUNNING or (self._arming.state is State.HOLDING and self._arming.bad == {"chunk"})

    def age_s(self, now_ns: int) -> float | None:
        """Age of the last usable chunk [s]; None in a state in which none is computed."""
        if not self.wanted:
            self._usable_ns = now_ns  # the age begins when they are wanted again
            return None
        return (now_ns - self._usable_ns) / NANOSECONDS

    def input(self, now_ns: int) -> Input:
        """The last usable chunk as the state machine evaluates it: one that is too old means that the worker is stuck or too slow."""
        return Input(self.age_s(now_ns) or 0.0, self._timeout_s)

    def offer(self, seen: SensedFrame) -> None:
        """Takes a whole frame if a chunk is due."""
        if self.wanted and (self._last_used_ns is None or seen.stamp_ns - self._last_used_ns >= self._period_ns):
            self._last_used_ns = seen.stamp_ns
            self._worker.put(seen)

    def reset(self) -> None:
        """Drops what waits and what is being computed; the caller holds the lock."""
        self._epoch += 1
        self._worker.clear()
        self._last_used_ns = None

    def close(self) -> None:
        """Ends the thread."""
        self._worker.close()

    # -- worker thread -------------------------------------------------------------------------------------------

    def _compute(self, seen: SensedFrame) -> None:
        with self._lock:
            inputs, epoch = self._loop.begin(seen.stamp_ns), self._epoch
            if not self.wanted or inputs is None:
                return
        started_ns, started_s = self._node.now_ns(), time.perf_counter()
        pixels = self._parts.senses.pixels(seen)
        if pixels is None:
            return
        row = TraceRow(
            "chunk",
            started_ns,
            exposed_ns=seen.stamp_ns,
            received_ns=seen.received_ns,
            started_ns=started_ns,
            foresight_ns=inputs.foresight.stamp_ns,
            foresight_seq=inputs.foresight.seq,
        )
        try:
            chunk = self._loop.compute(inputs, pixels, seen.joints, seen.stamp_ns)
            now_ns = self._node.now_ns()
            row = replace(row, time_ns=now_ns, inferred_ns=now_ns, inference_s=time.perf_counter() - started_s)
            with self._lock:
                self._deliver(chunk, seen, inputs.foresight, epoch, row)
        except MotionStartingError as error:
            self._report.note(replace(row, text=str(error)))
        except SpliceMissedError as error:
            self._report.missed(replace(row, text=str(error)))
        except (NotFiniteError, ChunkTooLateError) as error:
            self._report.rejected(replace(row, text=str(error)))
            self._node.complain(type(error).__name__, str(error), grave=isinstance(error, NotFiniteError))

    def _deliver(self, chunk: np.ndarray, seen: SensedFrame, foresight: Foresight, epoch: int, row: TraceRow) -> None:
        """Publishes a chunk that is still wanted; the caller holds the lock."""
        now_ns = self._node.now_ns()
        if epoch != self._epoch or not self.wanted or foresight.instruction_id != self._arming.instruction_id:
            self._report.note(replace(row, text="state or instruction changed while it was computed"))
        elif self._arming.state is State.RUNNING:
            self._send(chunk, seen, row)
            self._usable_ns = now_ns
        elif now_ns - seen.stamp_ns < self._timeout_s * NANOSECONDS:
            self._usable_ns = now_ns  # in time again: the hold ends, and the next one is sent

    def _send(self, chunk: np.ndarray, seen: SensedFrame, row: TraceRow) -> None:
        """Splices a chunk (H, A) into the running motion and publishes."""
        started_s = time.perf_counter()
        sent = self._loop.follow(chunk, seen.stamp_ns, seen.joints, self._parts.commander)
        row = replace(
            row,
            sent_ns=sent.sent_ns,
            takes_over_ns=sent.takes_over_ns,
            stitching_s=time.perf_counter() - started_s,
            estimated_delay_s=self._parts.commander.plan.timing.estimated_delay_s,
            clamped=sent.clamps.total(),
        )
        self._report.sent(row, sent.clamps)
