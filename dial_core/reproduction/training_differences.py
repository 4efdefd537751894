"""What a reader of a comparison must know of its trainings: which of them other code made, or another precision or device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dial_core.reproduction.done_marks import Mark

_DIFFERING = {"code": "by different code", "precision": "in different precision", "device": "on different devices"}


def training_differences(trained: Sequence[tuple[str, Mark]]) -> Iterator[str]:
    """The lines that say in what the trainings of a comparison's rows differ, if they do.

    `trained`: what each row is called, and the mark of its training. Marks of earlier versions do not say it, and count for nothing.
    """
    for field, differing in _DIFFERING.items():
        known = [(called, value) for called, mark in trained if (value := getattr(mark, field))]
        if len({value for _, value in known}) > 1:
            rows = ", ".join(f"{called} ({value})" for called, value in known)
            yield from (f"Trained {differing}: {rows}.", "")
