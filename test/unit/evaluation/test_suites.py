import pytest

from dial_core.errors import DialError
from dial_core.evaluation.arena import Case
from dial_core.evaluation.suites import instruction_of, make_arena, suite_names, suite_protocol, suite_tasks

OURS = {"in_distribution": 24, "unseen_appearance": 18, "unseen_combination": 14, "unseen_object": 32}


def test_there_are_our_four_suites_and_the_originals():
    assert {name: len(suite_tasks(name)) for name in OURS} == OURS
    assert set(OURS) < set(suite_names())
    assert {name for name in suite_names() if name not in OURS} == {name for name in suite_names() if name.startswith("robocasa_gr1")}
    assert suite_protocol("unseen_object") == {"episodes": 100}
    with pytest.raises(DialError, match=r"no suite 'kitchen'; suites: in_distribution, .*robocasa_gr1"):
        suite_tasks("kitchen")


@pytest.mark.parametrize("suite", OURS)
def test_the_arena_of_a_suite_puts_up_what_the_seed_asks_for(suite):
    task = suite_tasks(suite)[-1]
    arena = make_arena(suite, task, "ego")
    scenes = set()
    for seed in (100_000, 100_001):
        for other in (False, True):
            arena.reset(seed, other)
            assert arena.instruction == instruction_of(suite, Case(task, seed), other)
            assert arena.other_instruction() != instruction_of(suite, Case(task, seed), False)
        scenes.add(arena.scene_id())
    assert len(scenes) == 2
    assert arena.steps == 0
    assert arena.observe().image.shape == (96, 96, 3)
    arena.close()


def test_only_the_environment_knows_what_the_original_asks_for():
    assert instruction_of("robocasa_gr1", Case("PnPCupToDrawerClose", 100_000), False) is None
