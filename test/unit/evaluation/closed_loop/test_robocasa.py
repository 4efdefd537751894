"""The arena of the original benchmark over a real environment server, in which a stand-in runs (its assets are not here).

pytest test/unit/evaluation/closed_loop/test_robocasa.py
"""

import json
import os
from contextlib import suppress
from itertools import groupby

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.benchmark import Source, environment_facts, environment_id, load_benchmark
from dial_core.evaluation.closed_loop.environment_client import EnvironmentProcess
from dial_core.evaluation.closed_loop.evaluate import evaluate, prepare
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.robocasa import RobocasaArena
from dial_core.evaluation.closed_loop.source_state import BASKET_CUT, apply_patch
from dial_core.evaluation.closed_loop.suites import suite_names, suite_protocol, suite_tasks
from dial_core.evaluation.reports.result_page import markdown

from ...stand_in_benchmark import stand_in_benchmark
from .openpi_server import peer
from .test_installation import clone_with, git

FIRST_ID = "gr1_unified/PnPCupToDrawerClose_GR1ArmsAndWaistFourierHands_Env"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    tasks = ["AtEight", "AtSixteen", "FromTwenty", "FromHundredAndFive", "NineInARow", "Broken"]
    tasks += ["DoneAtStart", "DoneAtStartOnly", "StillMoves"]
    with stand_in_benchmark(tmp_path, monkeypatch, tasks, max_steps=48) as benchmark:
        yield benchmark


@pytest.fixture
def arena(installed):
    made = RobocasaArena(installed, "AtEight")
    yield made
    made.close()


@pytest.fixture
def conversation(monkeypatch):
    """Every call to a server with what matters of its answer, in order."""
    lines: list[str] = []
    plain = EnvironmentProcess.call

    def call(self, name, arrays=None, **values):
        answer, result = plain(self, name, arrays, **values)
        words = [name, *(f"{key}={values[key]}" for key in ("seed", "settle_steps") if key in values)]
        words += ["image"] if "image" in result else []
        words += ["success"] if answer.get("success") and name == "step" else []
        lines.append(" ".join(words))
        return answer, result

    monkeypatch.setattr(EnvironmentProcess, "call", call)
    return lambda: [line if count == 1 else f"{line} x{count}" for line, count in ((key, len(list(run))) for key, run in groupby(lines))]


def test_the_suites_are_the_papers():
    sizes = {"": 24, "_unseen_appearance": 18, "_unseen_combination": 14, "_unseen_object": 32}
    for ending, size in sizes.items():
        tasks = suite_tasks(f"robocasa_gr1{ending}")
        assert len(set(tasks)) == size
        assert f"robocasa_gr1{ending}" in suite_names()
    assert "PosttrainPnPNovelFromPlacematToPlateSplitA" in suite_tasks("robocasa_gr1")
    benchmark = load_benchmark("robocasa_gr1")
    assert (benchmark.rate_hz, benchmark.max_steps) == (20.0, 720)
    assert benchmark.id.format(task="PnPCupToDrawerClose") == FIRST_ID


def test_protocols_are_known_by_name_and_the_authors_is_the_default():
    authors, settled, strict = (suite_protocol("robocasa_gr1", name) for name in ("authors", "authors_settled", "strict"))
    assert suite_protocol("robocasa_gr1") == authors
    assert (authors["judged"], authors["execute_steps"], authors["episodes"], authors["settle_steps"]) == ("chunk_end", 16, 50, 0)
    assert (authors["system2_period_steps"], authors["system2_delay_steps"]) == (16, 0), "a foresight from the very image of the chunk"
    assert {rules["noise_seed"] for rules in (authors, settled, strict)} == {0}, "drawn noise, as the authors'"
    assert (settled["settle_steps"], settled["judged"]) == (100, "chunk_end"), "5 s at 20 Hz"
    assert (strict["judged"], strict["hold_steps"]) == ("every_step", 10)
    hashes = {Protocol(**values, suite="robocasa_gr1", tasks=("PnPCupToDrawerClose",)).hash for values in (authors, settled, strict)}
    assert len(hashes) == 3
    with pytest.raises(DialError, match="no protocol 'lenient' for this suite; protocols: authors, authors_settled, strict"):
        suite_protocol("robocasa_gr1", "lenient")
    with pytest.raises(DialError, match="has one protocol, without a name"):
        suite_protocol("in_distribution", "authors")


def test_without_the_environment_the_next_step_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAL_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(DialError, match=r"environment 'robocasa' is not installed \(.*dial robocasa setup"):
        RobocasaArena(load_benchmark("robocasa_gr1"), "PnPCupToDrawerClose")
    with pytest.raises(DialError, match=r"environment 'robosuite' is not installed \(.*`dial robocasa setup --robosuite-only` makes it"):
        environment_facts(load_benchmark("robosuite_gr1"))


AUTHORS_FIRST = ["make", "reset seed=100000 settle_steps=0 image"]
SETTLED_FIRST = ["make", "reset seed=100000 settle_steps=100 image"]
CHUNK = ["step x16", "look image"]
# Task and protocol -> success, stretches judged done, faults of the start, and the calls after `describe`.
SUCCESSES = {
    ("AtSixteen", "authors"): (True, [[16, 16]], [], [*AUTHORS_FIRST, "step x15", "step success", "look image"]),
    ("FromTwenty", "authors"): (True, [[32, 32]], [], [*AUTHORS_FIRST, *CHUNK, "step x3", "step success x13", "look image"]),
    ("FromTwenty", "strict"): (True, [[20, 29]], [], [*AUTHORS_FIRST, *CHUNK, "step x3", "step success x10", "look image"]),
    ("FromHundredAndFive", "authors_settled"): (True, [[16, 16]], [], [*SETTLED_FIRST, "step x4", "step success x12", "look image"]),
    # Done before the robot moved: a success as the authors count, and reported apart.
    ("DoneAtStart", "authors"): (True, [[16, 16]], ["already done"], [*AUTHORS_FIRST, "step success x16", "look image"]),
    ("DoneAtStart", "authors_settled"): (True, [[16, 16]], ["already done"], [*SETTLED_FIRST, "step success x16", "look image"]),
    ("DoneAtStart", "strict"): (True, [[1, 10]], ["already done"], [*AUTHORS_FIRST, "step success x10", "look image"]),
}
FAILURES = {
    ("AtEight", "authors"): (False, [], [], [*AUTHORS_FIRST, "step x7", "step success", "step x8", "look image", *CHUNK, *CHUNK]),
    ("AtEight", "strict"): (False, [[8, 8]], [], [*AUTHORS_FIRST, "step x7", "step success", "step x8", "look image", *CHUNK, *CHUNK]),
    # Nine steps in a row are one too few; the authors, who judge steps 16, 32 and 48, see nothing of them.
    ("NineInARow", "strict"): (
        False,
        [[20, 28]],
        [],
        [*AUTHORS_FIRST, *CHUNK, "step x3", "step success x9", "step x4", "look image", *CHUNK],
    ),
    ("NineInARow", "authors"): (
        False,
        [],
        [],
        [*AUTHORS_FIRST, *CHUNK, "step x3", "step success x9", "step x4", "look image", *CHUNK],
    ),
    ("DoneAtStartOnly", "strict"): (
        False,
        [[1, 3]],
        ["already done"],
        [*AUTHORS_FIRST, "step success x3", "step x13", "look image", *CHUNK, *CHUNK],
    ),
    # What was done and undone while things came to rest is neither a success nor a fault.
    ("DoneAtStartOnly", "authors_settled"): (False, [], [], [*SETTLED_FIRST, *CHUNK, *CHUNK, *CHUNK]),
    ("AtSixteen", "authors_settled"): (False, [], [], [*SETTLED_FIRST, *CHUNK, *CHUNK, *CHUNK]),
    ("StillMoves", "authors_settled"): (False, [], ["something still moves"], [*SETTLED_FIRST, *CHUNK, *CHUNK, *CHUNK]),
    ("StillMoves", "strict"): (False, [], [], [*AUTHORS_FIRST, *CHUNK, *CHUNK, *CHUNK]),
    ("Broken", "strict"): (
        False,
        [[16, 16]],
        ["something has fallen"],
        [*AUTHORS_FIRST, "step x15", "step success", "look image", *CHUNK, *CHUNK],
    ),
}
CONVERSATIONS = SUCCESSES | FAILURES


@pytest.mark.parametrize(("task", "rules"), CONVERSATIONS, ids=[" ".join(key) for key in CONVERSATIONS])
def test_each_protocol_talks_and_judges_as_recorded(installed, conversation, checkpoint, tmp_path, fresh_worker, task, rules):
    success, done, faults, said = CONVERSATIONS[task, rules]
    source = PolicySource("checkpoint", str(checkpoint))
    values = suite_protocol("stand_in", rules) | {"suite": "stand_in", "tasks": (task,), "episodes": 1}
    summary = evaluate(prepare(Protocol(**values), source), source, tmp_path / "out", workers=0)
    (episode,) = summary["episodes"]
    assert (episode["success"], episode["done"], episode["faults"]) == (success, done, faults)
    assert episode["foresight_age_s"] == 0.0
    assert episode["instruction"] == "pick the cup and place it in the drawer"
    assert conversation() == ["describe", *said]


def test_a_peer_behind_openpis_protocol_meets_the_same_environments_and_judges(installed, conversation, tmp_path, fresh_worker):
    with peer(lambda seen: {"actions": np.tile(seen["observation/state"], (16, 1))}) as (address, asked):
        source = PolicySource.parse(f"{address}?layout=released")
        values = suite_protocol("stand_in", "authors") | {"policy": "peer", "suite": "stand_in", "tasks": ("AtSixteen",), "episodes": 1}
        summary = evaluate(prepare(Protocol(**values), source), source, tmp_path / "out", workers=0)
    (episode,) = summary["episodes"]
    assert (episode["success"], episode["instruction"]) == (True, "pick the cup and place it in the drawer")
    assert len(asked) == 1  # success where its first chunk ends
    assert conversation() == ["describe", *CONVERSATIONS["AtSixteen", "authors"][-1]]


BROKEN_STARTS = {
    # protocol -> successes of the sound scenes and of all, of 2 and 8; faults counted
    "authors": (0, 4, {"something has fallen": 2, "already done": 2}),
    "authors_settled": (0, 2, {"something has fallen": 2, "already done": 2, "something still moves": 2}),
    "strict": (0, 2, {"something has fallen": 2, "already done": 2}),
}


@pytest.mark.parametrize("rules", BROKEN_STARTS)
def test_broken_starts_count_and_are_reported_apart(installed, tmp_path, fresh_worker, rules):
    source, (sound, successes, faults) = PolicySource("random"), BROKEN_STARTS[rules]
    tasks = ("AtEight", "Broken", "DoneAtStart", "StillMoves")
    values = suite_protocol("stand_in", rules) | {"policy": "random", "suite": "stand_in", "tasks": tasks, "episodes": 2}
    summary = evaluate(prepare(Protocol(**values), source), source, tmp_path / "out", workers=0)
    assert (summary["success"]["successes"], summary["success"]["trials"]) == (successes, 8)
    broken, count = summary["broken_starts"], sum(faults.values())
    assert (broken["scenes"]["successes"], broken["faults"]) == (count, faults)
    assert (broken["success_without"]["successes"], broken["success_without"]["trials"]) == (sound, 8 - count)
    listed = ", ".join(f"{fault} ({number})" for fault, number in sorted(faults.items()))
    assert f"Broken before the robot moved: {12.5 * count:.1f} ({count}/8) of the scenes ({listed})." in markdown(summary, "stand_in")


def test_joints_have_our_order_and_units_and_images_are_rendered_only_when_looked_at(arena):
    arena.reset(100_000)
    targets = np.linspace(-1, 1, 29)
    targets[14:26] = np.tile([0.0, 0.6, 3.14, 3.31, 1.2, 1.6], 2)  # hands: sums of two hinges
    arena.advance(targets)
    unseen = arena.observe(look=False)
    assert unseen.image.size == 0
    np.testing.assert_allclose(unseen.joints, targets, atol=1e-6)
    np.testing.assert_allclose(arena._arrays["state.right_hand"], [0.0, 0.3, 1.57, 1.74, 0.6, 1.6], atol=1e-6)
    seen = arena.observe()
    assert (seen.image.shape, seen.image.dtype, seen.image[0, 0, 0]) == ((256, 256, 3), np.uint8, 2)
    np.testing.assert_array_equal(seen.image, arena.observe().image)
    np.testing.assert_allclose(seen.base[:3, 3], [2.0, -1.0, 0.93])
    assert arena.steps == 1


def test_equal_seeds_give_equal_scenes_and_others_do_not(arena):
    scenes = []
    for seed in (100_000, 100_001, 100_000):
        arena.reset(seed)
        scenes.append(arena.scene_id())
    assert scenes[0] == scenes[2] != scenes[1]


def test_the_server_runs_with_a_fixed_hash_seed_and_its_facts_have_a_hash(installed, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    facts = environment_facts(installed)
    assert facts["hash_seed"] == "0", "task seeds of the original are hash(str)"
    assert facts["packages"]["numpy"] == np.__version__
    assert environment_id(facts) != environment_id(facts | {"assets": "0123456789ab"})


def test_the_commit_and_every_change_of_the_source_go_into_the_hash(installed, monkeypatch):
    """The stand-in's first package is a clone beside its environment, as `dial robocasa setup` leaves the original."""
    clone = installed.installation.clone
    clone_with(clone, BASKET_CUT)
    source = Source(repository="", commit="", patches=("basket_4",))
    cloned = installed.installation.model_copy(update={"source": source, "reported": ("robocasa", "numpy"), "asset_folders": ("textures",)})
    benchmark = installed.model_copy(update={"installation": cloned})
    python = installed.installation.python
    script = python.read_text()
    with pytest.raises(DialError, match="lacks robocasa"):
        environment_facts(benchmark)
    (clone / "robocasa-1.0.dist-info").mkdir()
    (clone / "robocasa-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: robocasa\nVersion: 1.0\n")
    python.write_text(script.replace("exec ", f'PYTHONPATH="{clone}" exec '))
    with pytest.raises(DialError, match=r"lacks assets textures, patch basket_4; `dial robocasa setup` completes it"):
        environment_facts(benchmark)
    (clone / "robocasa/textures/wood").mkdir(parents=True)
    apply_patch("basket_4", clone)
    facts = environment_facts(benchmark)
    assert facts["source"] == {"commit": git(clone, "rev-parse", "HEAD"), "patches": {"basket_4": True}, "changed": {}}
    assert str(clone) not in json.dumps(facts), "where it lies on this machine is no part of the hash"
    (clone / "robocasa/__init__.py").write_text("SUCCESS_DISTANCE = 1.0\n")
    assert environment_id(environment_facts(benchmark)) != environment_id(facts)
    monkeypatch.setattr(type(cloned), "clone", property(lambda self: python.parent))
    with pytest.raises(DialError, match=r"package robocasa is imported from .*, not from its clone .*bin; `dial robocasa setup`"):
        environment_facts(benchmark)


def test_missing_packages_are_named(installed):
    incomplete = installed.model_copy(update={"installation": installed.installation.model_copy(update={"reported": ("no_such_package",)})})
    with pytest.raises(DialError, match="environment 'stand_in' lacks no_such_package"):
        environment_facts(incomplete)


def test_what_the_environment_cannot_do_is_reported(arena):
    with pytest.raises(DialError, match="named object only"):
        arena.reset(100_000, other=True)
    with pytest.raises(DialError, match="distractors"):
        arena.other_instruction()


def test_spaces_of_another_robot_are_refused(installed):
    with pytest.raises(DialError, match=r"'state.waist' has shape \[1\], embodiment 'gr1' has 3 joints"):
        RobocasaArena(installed, "OneWaist")


def test_a_failing_simulator_is_reported_and_a_dead_one_with_its_last_words(installed):
    arena = RobocasaArena(installed, "Crashes")
    arena.reset(100_000)
    with pytest.raises(DialError, match=r"failed at 'step': RuntimeError: mj_step: unstable.*Its log ends: "):
        arena.advance(np.zeros(29))
    arena._server._process.kill()
    with pytest.raises(DialError, match=r"the server of environment 'stand_in' stopped at 'look'"):
        arena._server.call("look")
    arena.close()


def test_a_late_answer_is_not_taken_for_that_of_the_next_call(installed):
    server = installed.start()
    for timeout_s in (0.0, 60.0):  # with the second one the first call's answer would come in time
        with suppress(OSError):  # closed
            server._wire.settimeout(timeout_s)
        with pytest.raises(DialError, match="stopped at 'look'"):
            server.call("look")
    server.close()


def test_a_simulator_that_died_is_started_again_for_the_next_episode(installed, monkeypatch, tmp_path, fresh_worker):
    plain, killed = EnvironmentProcess.call, []

    def call(self, name, arrays=None, **values):
        if name == "step" and not killed:
            killed.append(self)
            self._process.kill()
        return plain(self, name, arrays, **values)

    monkeypatch.setattr(EnvironmentProcess, "call", call)
    values = suite_protocol("stand_in") | {"policy": "random", "suite": "stand_in", "tasks": ("AtSixteen",), "episodes": 2}
    source = PolicySource("random")
    first, second = evaluate(prepare(Protocol(**values), source), source, tmp_path / "out", workers=0)["episodes"]
    assert "stopped at 'step'" in first["error"]
    assert (second["error"], second["success"]) == (None, True)


def test_the_server_ends_when_its_client_does(installed):
    server = installed.start()
    process = server._process
    server._wire.close()
    assert process.wait(10) == 0
    server.close()
    assert not os.path.exists(f"/proc/{process.pid}/fd")
