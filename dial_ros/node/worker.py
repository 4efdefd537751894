"""A one-slot mailbox with one thread behind it: inference beside the executor; newest wins."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Runs `work(item)` in its own thread for the newest item put. An exception in it ends the worker and is handed on.

    Args:
        work: called with each item taken.
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
        """Leaves `item`; one that still waits is replaced."""
        with self._wake:
            self._item = item
            self._wake.notify()

    def clear(self) -> None:
        """Takes back what waits; what runs goes on."""
        with self._wake:
            self._item = None

    def close(self) -> None:
        """Ends the thread after the item it works on, if any."""
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
