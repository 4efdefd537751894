"""The adapter to the original benchmark, against a stand-in with its spaces, keys and habits (the package is not installed here).

pytest test/unit/evaluation/test_robocasa.py
"""

import sys
from types import ModuleType, SimpleNamespace

import gymnasium
import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.evaluate import evaluate, prepare
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.robocasa import RobocasaArena, load_benchmark
from dial_core.evaluation.closed_loop.suites import suite_names, suite_protocol, suite_tasks

WIDTHS = {"left_arm": 7, "right_arm": 7, "left_hand": 6, "right_hand": 6, "waist": 3}
TASK = "PnPCupToDrawerClose"
FIRST_ID = "gr1_unified/PnPCupToDrawerClose_GR1ArmsAndWaistFourierHands_Env"


class StandIn(gymnasium.Env):
    """Follows every action at once, and calls it a success at one single control step: the eighth."""

    def __init__(self, enable_render: bool = False, widths=WIDTHS) -> None:
        assert enable_render
        self.env = SimpleNamespace(rng=np.random.default_rng(), timestep=0)  # as robosuite's environment inside
        box, names = gymnasium.spaces.Box, widths.items()
        images = {
            key: box(0, 255, (256, 256, 3), np.uint8)
            for key in ("video.ego_view_pad_res256_freq20", "video.ego_view_bg_crop_pad_res256_freq20")
        }
        states = {f"state.{name}": box(-10, 10, (width,), np.float32) for name, width in names}
        words = gymnasium.spaces.Text(256)
        self.observation_space = gymnasium.spaces.Dict({**images, **states, "annotation.human.coarse_action": words})
        self.action_space = gymnasium.spaces.Dict({f"action.{name}": box(-10, 10, (width,), np.float32) for name, width in names})

    def reset(self, *, seed=None, options=None):
        self.env.timestep = 0
        self.state = {name: self.env.rng.normal(0, 0.01, width).astype(np.float32) for name, width in WIDTHS.items()}
        return self.observation(), {"success": False}

    def step(self, action):
        self.state = {key.removeprefix("action."): value for key, value in action.items()}
        self.env.timestep += 1
        return self.observation(), 0.0, False, False, {"success": self.env.timestep == 8}

    def observation(self):
        image = np.zeros((256, 256, 3), np.uint8)
        image[:6] = 255
        seen = {key: image for key in self.observation_space.spaces if key.startswith("video.")}
        seen |= {f"state.{name}": value for name, value in self.state.items()}
        return {**seen, "annotation.human.coarse_action": "unlocked_waist: pick the cup and place it in the drawer"}


@pytest.fixture
def installed(monkeypatch):
    """As if robosuite and robocasa were installed and had registered their first environment."""
    for name in ("robosuite", "robocasa", "robocasa.utils", "robocasa.utils.gym_utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    gymnasium.register(FIRST_ID, entry_point=StandIn, disable_env_checker=True)
    yield
    gymnasium.registry.pop(FIRST_ID)


def test_the_suites_are_the_papers():
    sizes = {"": 24, "_unseen_appearance": 18, "_unseen_combination": 14, "_unseen_object": 32}
    for ending, size in sizes.items():
        tasks = suite_tasks(f"robocasa_gr1{ending}")
        assert len(set(tasks)) == size
        assert f"robocasa_gr1{ending}" in suite_names()
    assert "PosttrainPnPNovelFromPlacematToPlateSplitA" in suite_tasks("robocasa_gr1")
    assert suite_protocol("robocasa_gr1") == {"episodes": 50, "hold_steps": 1, "execute_steps": 16, "strategy": "replace"}
    benchmark = load_benchmark("robocasa_gr1")
    assert (benchmark.rate_hz, benchmark.max_steps) == (20.0, 720)
    assert benchmark.id.format(task=TASK) == FIRST_ID


def test_without_the_package_the_next_step_is_named():
    with pytest.raises(DialError, match=r"No module named 'robo.*docs/evaluation.md"):
        RobocasaArena(load_benchmark("robocasa_gr1"), TASK)


def test_a_checkpoint_is_evaluated_with_the_harness_of_all_suites(installed, checkpoint, tmp_path, fresh_worker):
    source = PolicySource("checkpoint", str(checkpoint))
    values = suite_protocol("robocasa_gr1") | {"suite": "robocasa_gr1", "tasks": (TASK,), "episodes": 2}
    summary = evaluate(prepare(Protocol(**values), source), source, tmp_path, workers=0)
    assert summary["success"]["successes"] == 2
    for episode in summary["episodes"]:
        assert episode["done"] == [[8, 8]], "a success at a single control step inside a chunk of 16 counts"
        assert episode["steps"] == 8
        assert episode["instruction"] == "pick the cup and place it in the drawer"


def test_joints_pictures_and_actions_are_in_our_order_and_size(installed):
    arena = RobocasaArena(load_benchmark("robocasa_gr1"), TASK)
    arena.reset(100_000)
    targets = np.linspace(-1, 1, 29)
    arena.advance(targets)
    seen = arena.observe()
    np.testing.assert_allclose(seen.joints, targets, atol=1e-6)
    np.testing.assert_allclose(arena._env.unwrapped.state["right_hand"], targets[20:26], atol=1e-6)
    assert (seen.image.shape, seen.image.dtype) == ((256, 256, 3), np.uint8)
    assert arena.steps == 1


def test_equal_seeds_give_equal_scenes_and_others_do_not(installed):
    arena = RobocasaArena(load_benchmark("robocasa_gr1"), TASK)
    scenes = []
    for seed in (100_000, 100_001, 100_000):
        arena.reset(seed)
        scenes.append(arena.scene_id())
    assert scenes[0] == scenes[2] != scenes[1]


def test_what_the_environment_cannot_do_is_said(installed):
    arena = RobocasaArena(load_benchmark("robocasa_gr1"), TASK)
    with pytest.raises(DialError, match="named object only"):
        arena.reset(100_000, other=True)
    with pytest.raises(DialError, match="distractors"):
        arena.other_instruction()


def test_spaces_of_another_robot_are_refused(installed, monkeypatch):
    entry = lambda **kwargs: StandIn(widths={**WIDTHS, "waist": 1}, **kwargs)  # noqa: E731
    monkeypatch.setattr(gymnasium.registry[FIRST_ID], "entry_point", entry)
    with pytest.raises(DialError, match=r"'state.waist' has shape \(1,\), embodiment 'gr1' has 3 joints"):
        RobocasaArena(load_benchmark("robocasa_gr1"), TASK)
