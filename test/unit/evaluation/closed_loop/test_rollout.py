import pytest

from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult, Verdicts, run_cases


def test_success_must_last_and_stretches_are_counted_from_one():
    for hold_steps, success in ((3, True), (4, False)):
        verdicts = Verdicts(hold_steps)
        assert not verdicts.success
        for step, done in enumerate([False, True, True, False, True, True, True], 1):
            verdicts.add(step, done)
        assert verdicts.success is success
        assert (verdicts.count, verdicts.done) == (7, [[2, 3], [5, 7]])


def test_judged_where_chunks_end_two_successes_are_two_stretches():
    verdicts = Verdicts(hold_steps=1)
    verdicts.add(16, True)
    verdicts.add(32, True)
    assert verdicts.done == [[16, 16], [32, 32]]


@pytest.mark.slow
def test_the_expert_succeeds_and_leaves_a_video(tmp_path, fresh_worker):
    case = Case("PlacematToPlate", 100_001)
    kept: list[EpisodeResult] = []
    films = {case: tmp_path / "expert.mp4"}
    run_cases(Protocol(policy="expert"), PolicySource("expert"), [case], 0, kept.append, films)
    (result,) = kept
    assert result.success
    assert result.named_moved
    assert result.received_instruction == result.instruction
    assert result.judged == result.steps
    assert (tmp_path / "expert.mp4").stat().st_size > 1000


def test_an_episode_ends_when_success_has_lasted_or_time_is_up(stand_in):
    kept: list[EpisodeResult] = []
    for hold_steps, steps in ((10, 15), (1, 6), (20, 20)):
        protocol = Protocol(policy="random", hold_steps=hold_steps)
        run_cases(protocol, PolicySource("random"), [Case("PlacematToPlate", 100_000)], 0, kept.append)
        assert kept[-1].steps == steps
    assert [result.success for result in kept] == [True, True, False]
