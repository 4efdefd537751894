"""The beginnings of episodes, drawn more often than their share of the frames.

While the hand is on its way, the image shows where it goes. Before that, among several objects, only the instruction says so: in one frame
of fifteen of a tabletop dataset. A small model then learns to see ahead without reading, and never comes back to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import Field

from dial_core.config import Config
from dial_core.errors import DialError
from dial_core.training.streams import Stream, lists_several


class Beginnings(Config):
    """Oversampling of the first steps of episodes.

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
        """Row `number` of them; an episode that is shorter repeats its last row."""
        episode, step = divmod(number, self._steps)
        return int(min(self._starts[episode] + step, self._lasts[episode]))


def beginnings_of(streams: Sequence[Stream | None], wanted: Beginnings) -> dict[int, EpisodeBeginnings]:
    """Those of every stream that has some, by its number; None: a stream that nothing is drawn from.

    Raises:
        DialError: none has.
    """
    found = {index: part for index, stream in enumerate(streams) if stream and len(part := EpisodeBeginnings(stream, wanted))}
    if not found:
        raise _none_in([stream.name for stream in streams if stream])
    return found


def require_beginnings(wanted: Beginnings | None, facts: Mapping[str, Iterable[Mapping[str, object]]]) -> None:
    """Checks a stage before any is trained: `facts` of the episodes of every source that it draws from.

    Raises:
        DialError: several objects are wanted, and no episode lists them.
    """
    if wanted is not None and wanted.several_objects and not any(lists_several(one) for source in facts.values() for one in source):
        raise _none_in(list(facts))


def _none_in(sources: Sequence[str]) -> DialError:
    return DialError(
        f"`beginnings`: no episode of {', '.join(sources)} lists several objects (fact `objects`); "
        "leave `several_objects` out of the stage, or all of `beginnings`"
    )
