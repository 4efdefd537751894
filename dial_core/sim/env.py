"""The tabletop tasks as gymnasium environments: ids `dial/<Task>-v0`."""

from typing import Any

import gymnasium
import numpy as np

from dial_core.config import config_root
from dial_core.errors import DialError
from dial_core.robot.embodiment import EEF_DIM, Embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.sim.task import Task
from dial_core.sim.world import World

MAX_INSTRUCTION_CHARACTERS = 200
PRINTABLE = "".join(map(chr, range(32, 127)))
WRIST_REACH_M = 2.0  # bound of the action's wrist positions, which no robot's arm reaches: learners ask for finite bounds
HELD_STEPS = 10  # control steps of uninterrupted success that end an episode, as `dial eval` counts it: objects topple later


class TabletopEnv(gymnasium.Env):
    """One task. Observation: `images` {camera: uint8 (H, W, 3)}, `state` (S,), `instruction`. Action (S,): absolute targets.

    The action's wrist poses (its first 18 numbers) are ignored by the robot; the joints are clipped to their limits, which
    are the action space's bounds, and reached one control period later. `info["instruction"]` repeats the instruction:
    gymnasium's `AsyncVectorEnv` delivers no text observations unless made with `shared_memory=False`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, task: str | Task = "PlacematToPlate", image_size: int = 96, render_mode: str | None = None) -> None:
        """`task`: by its name or file, or a loaded one such as a suite's; `image_size`: a side of the images [px].

        Raises:
            DialError: there is no such task.
        """
        self.world = World(task, image_size=image_size)
        self.render_mode = render_mode
        embodiment = self.world.embodiment
        self._kinematics = ForwardKinematics(embodiment)
        self._period_s = 1.0 / embodiment.rate_hz
        self._cameras = [camera.name for camera in embodiment.cameras]
        self._steps = self._held = 0
        image = gymnasium.spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "images": gymnasium.spaces.Dict(dict.fromkeys(self._cameras, image)),
                "state": gymnasium.spaces.Box(-np.inf, np.inf, (embodiment.state_dim,), np.float32),
                "instruction": gymnasium.spaces.Text(MAX_INSTRUCTION_CHARACTERS, charset=PRINTABLE),
            }
        )
        self.action_space = _action_space(embodiment)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """A new scene. `options={"target": i}` names the scene's object i, whatever the seed would have drawn."""
        super().reset(seed=seed)
        options = options or {}
        unknown = set(options) - {"target"}
        if unknown:
            raise DialError(f"unknown reset options {sorted(unknown)} of {self.spec and self.spec.id}; known: target")
        self.world.reset(int(self.np_random.integers(2**31)) if seed is None else seed, options.get("target"))
        self._steps = self._held = 0
        return self._observation(), self._info(False)

    def step(self, action: np.ndarray):
        """One control period (50 ms). Reward is 1 in every step that ends in success; it terminates once success lasts."""
        action = np.asarray(action, dtype=np.float64)
        if action.shape != self.action_space.shape or not np.all(np.isfinite(action)):
            raise DialError(
                f"action of shape {action.shape} with finite values {bool(np.all(np.isfinite(action)))}; "
                f"expected {self.action_space.shape}, all finite"
            )
        self.world.advance(action[self.world.embodiment.joint_slice], self._period_s)
        self._steps += 1
        success = self.world.success()
        self._held = self._held + 1 if success else 0
        terminated = self._held >= HELD_STEPS
        truncated = not terminated and self._steps >= self.world.task.max_steps
        return self._observation(), float(success), terminated, truncated, self._info(success)

    def render(self) -> np.ndarray | None:
        """The first camera's image, uint8 (H, W, 3), if `render_mode` is `rgb_array`."""
        return self.world.render(self._cameras[0]) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Frees the renderer."""
        self.world.close()

    def _observation(self) -> dict[str, Any]:
        return {
            "images": {name: self.world.render(name) for name in self._cameras},
            "state": self._kinematics.state(self.world.joint_positions()),
            "instruction": self.world.instruction,
        }

    def _info(self, success: bool) -> dict[str, Any]:
        scene = self.world.scene
        return {
            "success": success,
            "phase": "success" if success else "running",
            "target": scene.target,
            "objects": [thing.type for thing in scene.objects],
            "moved": self.world.moved_objects(),
            "instruction": self.world.instruction,
            "steps": self._steps,
        }


def _action_space(embodiment: Embodiment) -> gymnasium.spaces.Box:
    """Absolute targets float32 (S,): per wrist a position within `WRIST_REACH_M` [m] and a 6D rotation, then the joints' limits [rad]."""
    wrist = [WRIST_REACH_M] * 3 + [1.0] * 6
    bound = np.array(wrist * (EEF_DIM // len(wrist)))
    low, high = np.concatenate([-bound, embodiment.lower]), np.concatenate([bound, embodiment.upper])
    return gymnasium.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def register_tasks() -> list[str]:
    """Registers `dial/<Task>-v0` for every file in `config/tasks/` with gymnasium and returns the ids."""
    ids = []
    for path in sorted((config_root() / "tasks").glob("*.yaml")):
        name = f"dial/{path.stem}-v0"
        ids.append(name)
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="dial_core.sim.env:TabletopEnv", kwargs={"task": path.stem})
    return ids


register_tasks()
