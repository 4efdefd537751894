import pytest

from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeResult, lasted, run_cases, stretches


def test_success_must_last_and_stretches_are_counted_from_one():
    verdicts = [False, True, True, False, True, True, True]
    assert lasted(verdicts, 3)
    assert not lasted(verdicts, 4)
    assert not lasted([True], 2)
    assert stretches(verdicts) == [[2, 3], [5, 7]]
    assert stretches([]) == []


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
