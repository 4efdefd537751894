"""Between the thread that receives and the disk: a bounded queue with a writing thread. Whoever puts never waits."""

from __future__ import annotations

import threading
import time
from collections import deque

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import BagError

LIMIT_BYTES = 512 * 2**20  # some 18 s of a VGA camera at 30 Hz
FLUSH_S = 0.25


class Spool:
    """Hands messages to a BagWriter in its own thread.

    Attributes:
        failure: why writing ended before its time, or None.
        lost: messages that came while the queue was full.
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
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def put(self, topic: str, log_ns: int, publish_ns: int, data: bytes) -> bool:
        """Leaves one message for the disk; False if it is lost, because the queue is full or writing has failed."""
        with self._wake:
            if self.failure or self._waiting_bytes + len(data) > self._limit_bytes:
                self.lost += 1
                return False
            self._waiting.append((topic, log_ns, publish_ns, data))
            self._waiting_bytes += len(data)
            self.most_waiting_bytes = max(self.most_waiting_bytes, self._waiting_bytes)
            self._wake.notify()
        return True

    def close(self, facts: dict[str, str]) -> None:
        """Waits until all is written and completes the bag. Raises BagError if it could not be."""
        self._end()
        if self.failure is None:
            try:
                self.writer.close(facts | {"lost": str(self.lost)})
                return
            except BagError as error:
                self.failure = str(error)
        self.writer.abandon()
        raise BagError(self.failure)

    def abandon(self) -> None:
        """Ends without completing the bag."""
        with self._wake:
            self._waiting.clear()
        self._end()
        self.writer.abandon()

    def _end(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        flushed_s = time.monotonic()
        dirty = False
        try:
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
                        self._waiting_bytes -= len(item[3])
                    self.written_bytes += len(item[3])
                if dirty and time.monotonic() - flushed_s >= self._flush_s:
                    self.writer.flush()
                    flushed_s, dirty = time.monotonic(), False
        except BagError as error:
            self.failure = str(error)
        except Exception as error:  # the writing thread must not die in silence
            self.failure = f"{self.writer.folder}: writing failed: {type(error).__name__}: {error}"
