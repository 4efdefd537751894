"""Does a result agree with itself? The mistakes known in the field, each looked for before anything is reported.

Every check holds what the harness did against something it did not produce itself: the list of scenes that were asked for,
the scene that the simulation put up and what its seed asks for, the simulation's clock, the instruction that the policy
says it received.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.closed_loop.suites import instruction_of

SHOWN = 3  # cases named in a message


def require_sound(protocol: Protocol, cases: Sequence[Case], results: Sequence[EpisodeResult]) -> None:
    """Passes if the results of `cases` have none of the mistakes that `problems` knows.

    Raises:
        DialError: they have; the message lists every one.
    """
    found = list(problems(protocol, cases, results))
    if found:
        raise DialError("this evaluation contradicts itself, so nothing is reported: " + "; ".join(found))


def problems(protocol: Protocol, cases: Sequence[Case], results: Sequence[EpisodeResult]) -> Iterator[str]:
    """One line for every kind of mistake found."""
    yield from _scenes(cases, results)
    ran = [result for result in results if result.error is None]
    yield from _said("the policy was given another scene's instruction", [r for r in ran if r.received_instruction != r.instruction])
    yield from _said("the scene asks for something else than its seed does", [r for r in ran if not _asks_as_its_seed(protocol, r)])
    where = "chunk end" if protocol.judged == "chunk_end" else "control step"
    seldom = [r for r in ran if r.judged != ceil(r.steps / protocol.judging_steps)]
    yield from _said(f"success was not judged at every {where}", seldom)
    wrong = [r for r in ran if r.success != _done_long_enough(r, protocol.hold_steps)]
    yield from _said(f"success does not follow from {protocol.hold_steps} steps in a row judged done", wrong)
    yield from _said("a crashed episode counts as a success", [r for r in results if r.error is not None and r.success])


def _scenes(cases: Sequence[Case], results: Sequence[EpisodeResult]) -> Iterator[str]:
    """Every scene once, none left out, none twice under another name."""
    wanted, got = Counter(cases), Counter(result.case for result in results)
    yield from _named("scenes asked for twice", [case for case, count in wanted.items() if count > 1])
    yield from _named("scenes without a result (a crash counts, it is not left out)", list((wanted - got).elements()))
    yield from _named("scenes with more than one result, or not asked for", list((got - wanted).elements()))
    put_up: dict[str, list[Case]] = {}
    for result in results:
        if result.scene:
            put_up.setdefault(result.scene, []).append(result.case)
    same = [case for shared in put_up.values() if len(set(shared)) > 1 for case in shared]
    yield from _named("the very same scene was put up for different seeds", same)


def _asks_as_its_seed(protocol: Protocol, result: EpisodeResult) -> bool:
    expected = instruction_of(protocol.suite, result.case, other=protocol.instruct == "other")
    return expected is None or result.instruction == expected


def _done_long_enough(result: EpisodeResult, hold_steps: int) -> bool:
    return any(last - first + 1 >= hold_steps for first, last in result.done)


def _said(what: str, results: Sequence[EpisodeResult]) -> Iterator[str]:
    return _named(what, [result.case for result in results])


def _named(what: str, cases: Sequence[Case]) -> Iterator[str]:
    if cases:
        listed = ", ".join(f"{case.task} {case.seed}" for case in cases[:SHOWN])
        yield f"{what}: {listed}{f' and {len(cases) - SHOWN} more' if len(cases) > SHOWN else ''}"
