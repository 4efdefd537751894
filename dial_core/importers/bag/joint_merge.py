"""Joint states of one or several publishers, each with some of the joints, brought together to whole ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dial_core.importers.bag.mapping import NamedJoints
from dial_core.observation.joint_agreement import JointAgreement
from dial_core.observation.readings import UnreadableMessageError
from dial_core.observation.split_joint_states import SplitJointStates

DISAGREEING_SHARE, DISAGREEING_MESSAGES = 0.02, 4  # more than both: two publishers, not single messages from elsewhere


class JointMerge:
    """Whole joint positions from messages that may hold a part each."""

    def __init__(self, names: Sequence[str], velocity: np.ndarray) -> None:
        """Arguments: the embodiment's joints and their velocity limits (J,) [rad/s]."""
        self._names = tuple(names)
        self._place = {name: place for place, name in enumerate(names)}
        self._states = SplitJointStates(names)
        self._recorded: set[str] = set()
        self._agreement = JointAgreement(names, velocity)
        self._messages, self._jumps, self._jump = 0, 0, ""

    def add(self, stamp_ns: int, message: Any, source: NamedJoints) -> np.ndarray | None:
        """Positions (J,) [rad] of all joints at `stamp_ns`; None while one of them was not reported in the last 50 ms.

        Raises:
            UnreadableMessageError: none of the joints is in the message, or a position is missing or not finite.
        """
        names = tuple(source.name(name) for name in message.name)
        self._recorded |= set(names)
        if not set(self._names) & set(names):
            raise UnreadableMessageError(f"joint state has none of the robot's joints; it has {', '.join(message.name) or 'no names'}")
        positions = self._states.take(stamp_ns, _Renamed(list(names), message.position))
        self._compare(stamp_ns, names, message.position)
        return positions

    def _compare(self, stamp_ns: int, names: Sequence[str], positions: Any) -> None:
        """Counts a message whose joints are elsewhere than they can have moved to since the one before."""
        seen = np.full(len(self._names), np.nan)
        for name, position in zip(names, positions, strict=True):
            if name in self._place:
                seen[self._place[name]] = position
        self._messages += 1
        if self._agreement.note(stamp_ns, seen):
            self._jumps += 1
            self._jump = self._jump or self._agreement.disagreement(stamp_ns)

    @property
    def disagreement(self) -> str:
        """Which joint jumped first and how far, where joint states jump again and again; empty if they agree."""
        often = self._jumps > max(DISAGREEING_MESSAGES, DISAGREEING_SHARE * self._messages)
        return self._jump if often else ""

    @property
    def missing(self) -> list[str]:
        """Joints that no message has reported so far."""
        return [name for name in self._names if name not in self._recorded]

    @property
    def recorded(self) -> list[str]:
        """Names in the messages so far, as the embodiment calls them."""
        return sorted(self._recorded)


class _Renamed:
    """A joint state with the embodiment's names."""

    def __init__(self, name: list[str], position: Any) -> None:
        self.name, self.position = name, position
