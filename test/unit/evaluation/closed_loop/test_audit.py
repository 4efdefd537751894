"""The mistakes known in the field, planted one by one: the harness finds each, or is shown not to make it.

pytest test/unit/evaluation/test_audit.py
"""

from dataclasses import replace

import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop import evaluate as evaluation
from dial_core.evaluation.closed_loop import rollout
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.audit import problems
from dial_core.evaluation.closed_loop.evaluate import evaluate
from dial_core.evaluation.closed_loop.ledger import Ledger, all_cases
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult
from dial_core.evaluation.closed_loop.suites import instruction_of

RANDOM = PolicySource("random")
ASKED = instruction_of("in_distribution", Case("PlacematToPlate", 100_000), other=False)
ONE = EpisodeResult("PlacematToPlate", 100_000, "a1", "b1", ASKED, ASKED, True, 20, 20, [[11, 20]])


def test_an_honest_evaluation_passes(stand_in, protocol, tmp_path):
    summary = evaluate(protocol, RANDOM, tmp_path, workers=0)
    assert summary["success"]["successes"] == 6
    assert [row["success"]["trials"] for row in summary["by_task"].values()] == [3, 3]


def test_every_environment_given_the_first_ones_instruction_is_found(stand_in, protocol, tmp_path, monkeypatch):
    first: list[str] = []

    class Deaf(rollout.make_policy(protocol, RANDOM).__class__):
        def begin(self, arena, seed, instruction):
            first.append(instruction)
            super().begin(arena, seed, first[0])

    monkeypatch.setattr(rollout, "make_policy", lambda protocol, source: Deaf())
    with pytest.raises(DialError, match=r"given another scene's instruction: PlacematToPlate 100001, PlacematToPlate 100002.* and 2 more"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


def test_a_scene_that_asks_for_something_else_than_its_seed_is_found(stand_in, protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(stand_in, "instruction", property(lambda self: f"{self.task}: put thing 100000 on the plate"))
    with pytest.raises(DialError, match="asks for something else than its seed does: PlacematToPlate 100001"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


def test_success_judged_only_at_chunk_ends_is_found(stand_in, protocol, tmp_path, monkeypatch):
    honest = stand_in.advance

    def whole_chunk(self, targets):
        return [honest(self, targets) for _ in range(4)][-1]

    monkeypatch.setattr(stand_in, "advance", whole_chunk)
    with pytest.raises(DialError, match="success was not judged at every control step"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


def test_a_success_between_two_chunk_ends_counts(stand_in, monkeypatch):
    """Done in steps 5 to 14 only; at the ends of chunks of 16 (and of 3, from step 15) nothing is to be seen."""
    monkeypatch.setattr(rollout, "make_arena", lambda suite, task, *_: stand_in(task, done_at=range(5, 15)))
    result = rollout.run_episode(rollout.EpisodeJob(Protocol(policy="random"), RANDOM, Case("PlacematToPlate", 100_000)))
    assert result.success
    assert result.steps == 14
    assert result.done == [[5, 14]]


def test_a_crash_dropped_is_found(stand_in, protocol, tmp_path, monkeypatch):
    crash_in(stand_in, monkeypatch, seed=100_001)

    class Dropping(Ledger):
        def keep(self, result):
            if result.error is None:
                super().keep(result)

    monkeypatch.setattr(evaluation, "Ledger", Dropping)
    with pytest.raises(DialError, match=r"scenes without a result .*PlacematToPlate 100001, TrayToPot 100001"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


def test_a_crash_is_a_failure_and_is_not_tried_again(stand_in, protocol, tmp_path, monkeypatch):
    with monkeypatch.context() as once:
        crash_in(stand_in, once, seed=100_001)
        summary = evaluate(protocol, RANDOM, tmp_path, workers=0)
    assert (summary["success"]["successes"], summary["success"]["trials"], summary["crashed"]) == (4, 6, 2)
    assert "renderer gone" in next(e["error"] for e in summary["episodes"] if e["seed"] == 100_001)
    assert evaluate(protocol, RANDOM, tmp_path, workers=0)["crashed"] == 2


def test_a_seed_reused_is_found(stand_in, protocol, tmp_path, monkeypatch):
    honest = stand_in.reset
    monkeypatch.setattr(stand_in, "reset", lambda self, seed, other=False: honest(self, 100_000))
    with pytest.raises(DialError, match=r"very same scene was put up for different seeds: PlacematToPlate 100000, .* 100001"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


def test_a_seed_asked_for_twice_is_found(stand_in, protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "all_cases", lambda protocol: [*all_cases(protocol), Case("TrayToPot", 100_002)])
    with pytest.raises(DialError, match="scenes asked for twice: TrayToPot 100002"):
        evaluate(protocol, RANDOM, tmp_path, workers=0)


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (replace(ONE, done=[[12, 20]]), "success does not follow"),
        (replace(ONE, success=False), "success does not follow"),
        (replace(ONE, error="killed"), "a crashed episode counts as a success"),
        (replace(ONE, seed=100_001), "not asked for"),
        (replace(ONE, instruction="put it there", received_instruction="put it there"), "something else than its seed"),
    ],
)
def test_a_result_that_contradicts_itself_is_found(planted, found):
    protocol = Protocol(policy="random", episodes=1)
    assert not list(problems(protocol, all_cases(protocol), [ONE]))
    assert any(found in problem for problem in problems(protocol, all_cases(protocol), [planted]))


def crash_in(stand_in, monkeypatch, seed: int) -> None:
    """Lets the episodes of a seed crash."""
    honest = stand_in.observe

    def observe(self, look=True):
        if self.seed == seed:
            raise RuntimeError("renderer gone")
        return honest(self, look)

    monkeypatch.setattr(stand_in, "observe", observe)
