"""Whole joint states from messages that may hold a part of the joints each: of several broadcasters, on one topic or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dial_core.control.motion import NANOSECONDS
from dial_core.control.robot_clock import in_order_ns
from dial_core.observation.readings import JOINT_GAP_S, JointOrder


class SplitJointStates:
    """Keeps the newest position of every joint. A state is whole while no joint is older than the newest by more than a gap.

    Attributes:
        newest_ns: stamp of the newest message, which is that of the state: of several broadcasters, messages may overtake each other.
        part: positions (J,) [rad] of the last message that was taken; NaN: a joint is not in it.
    """

    def __init__(self, names: Sequence[str], gap_s: float = JOINT_GAP_S) -> None:
        """Arguments: the robot's joints in the order of the result; the largest age of one joint beside another [s]."""
        self._names, self._gap_ns = tuple(names), round(gap_s * NANOSECONDS)
        self._place = {name: i for i, name in enumerate(names)}
        self._orders: dict[tuple[str, ...], tuple[JointOrder, np.ndarray]] = {}
        self._others: set[str] = set()
        self.newest_ns = 0
        self.clear()

    @property
    def lacking(self) -> tuple[str, ...]:
        """Joints that no message of the last gap reported, as of the newest message."""
        return tuple(name for name, fresh in zip(self._names, self._fresh(), strict=True) if not fresh)

    @property
    def reported(self) -> list[str]:
        """Names in the messages of the last gap, those of other joints included."""
        fresh = [name for name, is_fresh in zip(self._names, self._fresh(), strict=True) if is_fresh]
        return [*fresh, *sorted(self._others)]

    def take(self, stamp_ns: int, message: Any) -> np.ndarray | None:
        """Positions (J,) [rad] of all joints at `newest_ns`; None while the state is not whole, or if the message has no joint of these.

        `stamp_ns`: of the message.

        Raises:
            UnreadableMessageError: a position is missing or not finite, or a joint is named twice.
        """
        own = tuple(name for name in message.name if name in self._place)
        self._others.update(name for name in message.name if name not in self._place)
        if not own:
            return None
        if own not in self._orders:
            unique = tuple(dict.fromkeys(own))
            self._orders[own] = JointOrder(unique), np.array([self._place[name] for name in unique], dtype=np.intp)
        order, place = self._orders[own]
        positions = order.positions(message)
        self.part = np.full(len(self._names), np.nan)
        self.part[place] = positions
        self.newest_ns = in_order_ns(stamp_ns, self.newest_ns)
        if self.newest_ns != stamp_ns:  # what is known of a joint from a newer message stays
            newer = self._stamps_ns[place] <= stamp_ns
            place, positions = place[newer], positions[newer]
        self._positions[place], self._stamps_ns[place] = positions, stamp_ns
        return self._positions.copy() if self._fresh().all() else None

    def clear(self) -> None:
        """Drops all positions (the clock stepped)."""
        self._positions = np.full(len(self._names), np.nan)
        self.part = self._positions.copy()
        self._stamps_ns = np.full(len(self._names), -(2**62), dtype=np.int64)
        self.newest_ns = 0

    def _fresh(self) -> np.ndarray:
        # Stamps of the future are those of before a clock went back.
        return np.abs(self.newest_ns - self._stamps_ns) <= self._gap_ns
