import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.evaluate import prepare
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.suites import instruction_of, make_arena, suite_names, suite_protocol, suite_tasks

OURS = {"in_distribution": 24, "unseen_appearance": 18, "unseen_combination": 14, "unseen_instruction": 24, "unseen_object": 32}


def test_there_are_our_five_suites_and_the_originals():
    assert {name: len(suite_tasks(name)) for name in OURS} == OURS
    assert set(OURS) < set(suite_names())
    assert [name for name in suite_names() if name.startswith("robo")] == [
        "robocasa_gr1",
        "robocasa_gr1_unseen_appearance",
        "robocasa_gr1_unseen_combination",
        "robocasa_gr1_unseen_object",
        "robosuite_gr1",
    ]
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


def test_a_task_of_ones_own_is_named_by_its_file_and_what_it_says_is_in_the_hash(tmp_path):
    file = tmp_path / "Farther.yaml"
    hashes = set()
    for far in (0.42, 0.43):
        file.write_text(f"name: Farther\nextends: PlacematToPlate\nsource_region: {{x: [{far}, 0.44], y: [-0.12, -0.1]}}\n")
        protocol = Protocol(policy="expert", tasks=(str(file),))
        assert prepare(protocol, PolicySource("expert")).tasks == (str(file),)
        hashes.add(protocol.hash)
    assert len(hashes) == 2
    arena = make_arena("in_distribution", str(file), "ego")
    arena.reset(100_000)
    assert arena.task == "Farther"
    assert arena.instruction == instruction_of("in_distribution", Case(str(file), 100_000), other=False)
    arena.close()
    with pytest.raises(DialError, match=r"nowhere\.yaml does not exist"):
        make_arena("in_distribution", "nowhere.yaml", "ego")


def test_only_the_environment_knows_what_the_original_asks_for():
    assert instruction_of("robocasa_gr1", Case("PnPCupToDrawerClose", 100_000), False) is None
