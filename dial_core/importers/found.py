"""What an import would use of its sources, looked at before the work begins: found, used for what, dropped and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass
class FoundGroup:
    """Sources that are used alike.

    Attributes:
        sources: their names.
        uses: (what for, where it comes from), in the order of the table.
        unused: reason by name of what is not used.
        counts: how much there is (messages, rows), by name, over all sources.
        problem: why none of them can be imported; empty if they can.
    """

    sources: list[str] = field(default_factory=list)
    uses: list[tuple[str, str]] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def key(self) -> tuple:
        """Equal for sources that belong together."""
        return self.problem, tuple(self.uses), tuple(sorted(self.unused.items()))


@dataclass(frozen=True)
class Found:
    """All sources of an import. `things` and `counted`: what a source is, and what is counted, in the plural."""

    things: str
    counted: str
    groups: Sequence[FoundGroup]

    @property
    def total(self) -> int:
        """Number of sources."""
        return sum(len(group.sources) for group in self.groups)


def grouped(found: Iterable[FoundGroup]) -> list[FoundGroup]:
    """One group for all that are used alike; the largest first, those with a problem last."""
    groups: dict[tuple, FoundGroup] = {}
    for one in found:
        group = groups.setdefault(one.key, FoundGroup(uses=one.uses, unused=one.unused, problem=one.problem))
        group.sources += one.sources
        for name, count in one.counts.items():
            group.counts[name] = group.counts.get(name, 0) + count
    return sorted(groups.values(), key=lambda group: (bool(group.problem), -len(group.sources)))
