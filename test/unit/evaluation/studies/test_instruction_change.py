"""An instruction that changes in mid-motion, obeyed or not, by policies whose answer is known.

pytest test/unit/evaluation/studies/test_instruction_change.py
"""

from dataclasses import replace

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import TabletopArena
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.studies.instruction_change import Change, run_change, two_object_seeds, write_changes
from dial_core.sim.expert.expert import Expert

TASK = "PlacematToPlate"


class StubbornExpert:
    """Moves the first object and ignores the change; an obedient one stands until the change and then moves the other object."""

    needs_image = False

    def __init__(self, arena: TabletopArena, obedient: bool) -> None:
        self._arena, self._obedient = arena, obedient
        self.received: list[str] = []

    def begin(self, arena, seed, instruction):
        self.received = [instruction]
        self._expert = None if self._obedient else Expert(arena.world, seed)

    def change_instruction(self, instruction):
        self.received.append(instruction)
        if self._obedient:
            world = self._arena.world
            world.scene = replace(world.scene, target=1 - world.scene.target)
            self._expert = Expert(world, world.scene.seed)

    def targets(self, observation):
        if self._expert is None:
            return self._arena.set_points
        return self._expert.action()[self._arena.embodiment.joint_slice].astype(np.float64)


@pytest.fixture(scope="module")
def arena():
    made = TabletopArena(TASK)
    yield made
    made.close()


@pytest.mark.parametrize(("obedient", "outcome"), [(True, "new"), (False, "old")])
def test_the_object_that_stands_in_the_target_says_which_instruction_was_obeyed(arena, obedient, outcome):
    seed = two_object_seeds(TASK, 1)[0]
    policy = StubbornExpert(arena, obedient)
    assert run_change(arena, policy, seed, 0.5, hold_steps=5) == Change(seed, 0.5, outcome)
    arena.reset(seed)
    first = arena.instruction
    arena.reset(seed, other=True)
    assert policy.received == [first, arena.instruction]


def test_seeds_are_those_of_scenes_with_two_objects():
    seeds = two_object_seeds(TASK, 3)
    assert len(set(seeds)) == 3
    assert min(seeds) >= 100_000
    with pytest.raises(DialError, match="CanToDrawerClose has 0 scenes with two objects"):
        two_object_seeds("CanToDrawerClose", 1)


def test_the_report_counts_each_outcome_by_time(tmp_path):
    changes = [Change(1, 1.0, "new"), Change(2, 1.0, "old"), Change(1, 2.0, "neither")]
    text = write_changes(tmp_path / "out", "tiny", Protocol(tasks=(TASK,)), changes)
    assert "| 1 s | 1/2 | 9 to 91 % | 1 | 0 | 0 |" in text
    assert "| 2 s | 0/1 |" in text
    assert (tmp_path / "out" / "changes.md").read_text() == text
