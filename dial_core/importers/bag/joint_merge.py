"""Joint states of one or several publishers, each with some of the joints, brought together to whole ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dial_core.importers.bag.mapping import NamedJoints
from dial_core.observation.readings import UnreadableMessageError
from dial_core.observation.split_joint_states import SplitJointStates


class JointMerge:
    """Whole joint positions from messages that may hold a part each."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._states = SplitJointStates(names)
        self._recorded: set[str] = set()

    def add(self, stamp_ns: int, message: Any, source: NamedJoints) -> np.ndarray | None:
        """Positions (J,) [rad] of all joints at `stamp_ns`; None while one of them was not reported in the last 50 ms.

        Raises:
            UnreadableMessageError: none of the joints is in the message, or a position is missing or not finite.
        """
        names = tuple(source.name(name) for name in message.name)
        self._recorded |= set(names)
        if not set(self._names) & set(names):
            raise UnreadableMessageError(f"joint state has none of the robot's joints; it has {', '.join(message.name) or 'no names'}")
        return self._states.take(stamp_ns, _Renamed(list(names), message.position))

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
