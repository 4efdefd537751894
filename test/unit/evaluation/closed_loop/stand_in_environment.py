"""Stands in for the original benchmark in an environment server: its keys, spaces and habits, without physics. numpy and gymnasium only."""

from types import SimpleNamespace

import gymnasium
import numpy as np

WIDTHS = {"left_arm": 7, "right_arm": 7, "left_hand": 6, "right_hand": 6, "waist": 3}
IMAGES = ("video.ego_view_pad_res256_freq20", "video.ego_view_bg_crop_pad_res256_freq20")
INSTRUCTION = "annotation.human.coarse_action"
# Task -> control steps since the reset at whose end its check succeeds; 0 is the reset itself.
SUCCESSES = {
    "AtEight": {8},
    "AtSixteen": {16},
    "FromTwenty": range(20, 1000),
    "FromHundredAndFive": range(105, 1000),
    "NineInARow": range(20, 29),
    "DoneAtStart": range(1000),
    "DoneAtStartOnly": range(4),
    "StillMoves": set(),
    "Broken": {16},
    "OneWaist": set(),
    "Crashes": set(),
}


class StandInEnvironment(gymnasium.Env):
    """Follows every action at once; renders an image whose brightness counts how often it was looked at."""

    def __init__(self, task: str, enable_render: bool = False) -> None:
        assert enable_render
        self._task = task
        faults = ["something has fallen"] if task == "Broken" else []
        base = np.array([[0, -1, 0, 2.0], [1, 0, 0, -1.0], [0, 0, 1, 0.93], [0, 0, 0, 1]])
        self.env = SimpleNamespace(rng=np.random.default_rng(), timestep=0, faults=faults, base_pose=base)  # robosuite's, inside
        self.env._check_success = self._done
        widths = WIDTHS | ({"waist": 1} if task == "OneWaist" else {})
        box = gymnasium.spaces.Box
        states = {f"state.{name}": box(-10, 10, (width,), np.float32) for name, width in widths.items()}
        images = {key: box(0, 255, (256, 256, 3), np.uint8) for key in IMAGES}
        self.observation_space = gymnasium.spaces.Dict({**images, **states, INSTRUCTION: gymnasium.spaces.Text(256)})
        self.action_space = gymnasium.spaces.Dict({f"action.{name}": box(-10, 10, (width,), np.float32) for name, width in widths.items()})
        self.renders = 0

    def reset(self, *, seed=None, options=None):
        """Joints that follow from robosuite's own generator, as the original's scenes do."""
        self.env.timestep = self.renders = 0
        lowest = 0.01 * list(SUCCESSES).index(self._task)  # no two tasks share a scene
        self.state = {name: lowest + self.env.rng.uniform(0, 0.05, width).astype(np.float32) for name, width in WIDTHS.items()}
        return self.look(), {"success": False}

    def step(self, action):
        """The targets become the state."""
        if self._task == "Crashes":
            raise RuntimeError("mj_step: unstable")
        self.state = {key.removeprefix("action."): value for key, value in action.items()}
        self.env.timestep += 1
        if self._task == "StillMoves":  # at the first image of a protocol that waits for a hundred steps, not at the reset
            self.env.faults = ["something still moves"] if self.env.timestep >= 100 else []
        return self._observation(), 0.0, False, False, {"success": self._done()}

    def look(self):
        """The observation with a new image."""
        self.renders += 1
        return self._observation()

    def _done(self):
        return self.env.timestep in SUCCESSES[self._task]

    def _observation(self):
        image = np.full((256, 256, 3), self.renders, np.uint8)
        seen = {f"state.{name}": value for name, value in self.state.items()} | dict.fromkeys(IMAGES, image)
        return {**seen, INSTRUCTION: "unlocked_waist: pick the cup and place it in the drawer"}


for _task in SUCCESSES:
    gymnasium.register(f"stand_in/{_task}", entry_point=StandInEnvironment, kwargs={"task": _task}, disable_env_checker=True)
