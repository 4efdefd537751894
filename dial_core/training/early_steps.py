"""The beginnings of episodes, drawn more often than their share of the frames.

While the hand is on its way, the image shows where it goes. Before that, among several objects, only the instruction says so: in one frame
of fifteen of a tabletop dataset. A small model then learns to see ahead without reading, and never comes back to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dial_core.config import Config
from dial_core.errors import DialError
from dial_core.training.streams import Stream


class Beginnings(Config):
    """Which beginnings, and how often.

    Attributes:
        share: of the samples of each source that has such episodes.
        steps: of an episode, from its first on [control steps].
        several_objects: only of episodes whose fact `objects` lists two or more, as `dial collect` writes it.
    """

    share: float = Field(gt=0, lt=1)
    steps: int = Field(gt=0)
    several_objects: bool = False


class EpisodeBeginnings:
    """The rows of a stream that `wanted` describes, by number."""

    def __init__(self, stream: Stream, wanted: Beginnings) -> None:
        every = np.ones(len(stream.starts), bool)
        several = ~every if stream.several_objects is None else stream.several_objects
        chosen = several if wanted.several_objects else every
        ends = np.append(stream.starts[1:], len(stream))
        self._starts, self._lasts, self._steps = stream.starts[chosen], ends[chosen] - 1, wanted.steps

    def __len__(self) -> int:
        return len(self._starts) * self._steps

    def row(self, number: int) -> int:
        """Row `number` of them; of an episode that is shorter the last row comes again."""
        episode, step = divmod(number, self._steps)
        return int(min(self._starts[episode] + step, self._lasts[episode]))


def beginnings_of(streams: Sequence[Stream], wanted: Beginnings) -> dict[int, EpisodeBeginnings]:
    """Those of every stream that has some, by its number.

    Raises:
        DialError: none has.
    """
    found = {index: part for index, stream in enumerate(streams) if len(part := EpisodeBeginnings(stream, wanted))}
    if not found:
        raise DialError(
            f"`beginnings`: no episode of {', '.join(stream.name for stream in streams)} lists several objects (fact `objects`); "
            "leave `several_objects` out of the stage, or all of `beginnings`"
        )
    return found
