"""Between the thread that receives and the disk: a bounded queue with a writing thread. Whoever puts never waits."""

from __future__ import annotations

import threading
import time
from collections import deque

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import BagError
from dial_core.errors import DialError

LIMIT_BYTES = 512 * 2**20  # some 18 s of a VGA camera at 30 Hz
FLUSH_S = 0.25


class Spool:
    """Hands messages to a BagWriter in its own thread, which also completes the bag.

    Attributes:
        failure: why writing ended before its time, or None.
        lost: messages that came while the queue was full, or were given up.
        most_waiting_bytes: the longest the queue was [byte].
    """

    def __init__(self, writer: BagWriter, limit_bytes: int = LIMIT_BYTES, flush_s: float = FLUSH_S) -> None:
        self.writer = writer
        self.failure: str | None = None
        self.lost = 0
        self.written_bytes = 0
        self.most_waiting_bytes = 0
        self._limit_bytes, self._flush_s = limit_bytes, flush_s
        self._waiting: deque[tuple[str, int, int, bytes]] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._facts: dict[str, str] | None = None  # with which the bag is completed
        self._pace = (0.0, 0)  # when the spool was ended [s], and bytes written until then
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    @property
    def ending(self) -> bool:
        """Whether no message is taken any more."""
        return self._closing

    @property
    def done(self) -> bool:
        """Whether the writing thread has ended: all is written and the bag is complete, or `failure` says why not."""
        return not self._thread.is_alive()

    @property
    def waiting_bytes(self) -> int:
        """What is not written yet [byte]."""
        return self._waiting_bytes

    @property
    def remaining_s(self) -> float | None:
        """How long the rest takes [s], at the pace since `end`; None before anything was written since."""
        ended_s, ended_bytes = self._pace
        written = self.written_bytes - ended_bytes
        return self._waiting_bytes / written * (time.monotonic() - ended_s) if written > 0 else None

    def put(self, topic: str, log_ns: int, publish_ns: int, data: bytes) -> bool:
        """Leaves one message for the disk; False if it is not taken: the queue is full, writing has failed, or the spool was ended."""
        with self._wake:
            if self._closing:
                return False
            if self.failure or self._waiting_bytes + len(data) > self._limit_bytes:
                self.lost += 1
                return False
            self._waiting.append((topic, log_ns, publish_ns, data))
            self._waiting_bytes += len(data)
            self.most_waiting_bytes = max(self.most_waiting_bytes, self._waiting_bytes)
            self._wake.notify()
        return True

    def end(self, facts: dict[str, str]) -> None:
        """Takes no further messages and returns at once: the thread writes what waits, then completes the bag with `facts`.

        A spool that was ended already keeps its first facts.
        """
        with self._wake:
            if not self._closing:
                self._facts, self._pace, self._closing = facts, (time.monotonic(), self.written_bytes), True
            self._wake.notify()

    def give_up(self) -> None:
        """Drops what waits and counts it as lost, so that a spool that was ended completes its bag at once."""
        with self._wake:
            self.lost += len(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0

    def close(self, facts: dict[str, str]) -> None:
        """Ends the spool and waits until the bag is complete. Raises BagError if it could not be completed."""
        self.end(facts)
        self._thread.join()
        if self.failure is not None:
            raise BagError(self.failure)

    def abandon(self) -> None:
        """Ends without completing the bag."""
        with self._wake:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._facts, self._closing = None, True
            self._wake.notify()
        self._thread.join()
        self.writer.abandon()

    def _run(self) -> None:
        try:
            self._write()
            if self._facts is not None:
                self.writer.close(self._facts | {"lost": str(self.lost)})
            return
        except DialError as error:
            self.failure = str(error)
        except Exception as error:  # the writing thread must not die in silence
            self.failure = f"{self.writer.folder}: writing failed: {type(error).__name__}: {error}"
        self.writer.abandon()

    def _write(self) -> None:
        """Writes what is put, until the spool is ended and nothing waits."""
        flushed_s = time.monotonic()
        dirty = False
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing, timeout=self._flush_s if dirty else None)
                if self._closing and not self._waiting:
                    return
                item = self._waiting.popleft() if self._waiting else None
            if item is not None:
                self.writer.write(*item)
                dirty = True
                with self._wake:
                    self._waiting_bytes = max(0, self._waiting_bytes - len(item[3]))  # given up meanwhile: nothing is left
                self.written_bytes += len(item[3])
            if dirty and time.monotonic() - flushed_s >= self._flush_s:
                self.writer.flush()
                flushed_s, dirty = time.monotonic(), False
