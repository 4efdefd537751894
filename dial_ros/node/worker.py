"""A worker thread with a one-slot mailbox, for inference beside the executor; a newer item replaces one that waits."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Runs `work(item)` in a thread for the newest item. An exception ends the worker and is passed to `failed`.

    Args:
        work: called with each item.
        failed: called, in the worker's thread, with the exception that ended it.
    """

    def __init__(self, name: str, work: Callable[[T], None], failed: Callable[[BaseException], None]) -> None:
        self._work, self._failed = work, failed
        self._item: T | None = None
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Puts `item` into the mailbox; replaces one that still waits."""
        with self._wake:
            self._item = item
            self._wake.notify()

    def clear(self) -> None:
        """Drops the item that waits; one that is being processed is completed."""
        with self._wake:
            self._item = None

    def close(self) -> None:
        """Stops the thread after the item that it processes, if any."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._item is not None)
                if self._closed:
                    return
                item, self._item = self._item, None
            try:
                self._work(item)  # type: ignore[arg-type]
            except BaseException as error:
                self._failed(error)
                return
