"""Where an episode takes place: one interface over the tabletop world and over environments from outside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np

from dial_core.robot.embodiment import Embodiment
from dial_core.sim.scene import other_instruction
from dial_core.sim.task import Task
from dial_core.sim.world import World


@dataclass(frozen=True, order=True)
class Case:
    """One scene to be judged on: a task and its seed."""

    task: str
    seed: int


NOT_SEEN = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class StepObservation:
    """What a policy gets at a control step: `image` uint8 (H, W, 3), measured `joints` (J,) [rad], the `instruction`.

    `base`: pose of the robot's base in the world (4, 4), where the simulation reports it.

    Where no image was asked for, `image` is NOT_SEEN: images are most of a step's time.
    """

    image: np.ndarray
    joints: np.ndarray
    instruction: str
    base: np.ndarray | None = None


@dataclass(frozen=True)
class EndState:
    """What an arena knows of the end: number of `objects`, whether the `named` one and whether an `other` one is in place.

    `faults`: what was wrong with the scene before the robot had moved.
    """

    objects: int = 1
    named: bool = False
    other: bool = False
    faults: tuple[str, ...] = ()


class Arena(Interface):
    """One robot at one table. `steps` counts the control steps that the simulation's own clock has run since the reset."""

    embodiment: Embodiment
    max_steps: int

    @property
    def instruction(self) -> str:
        """What the scene asks for."""

    @property
    def steps(self) -> int:
        """Control steps run since the reset, by the simulation's clock."""

    def reset(self, seed: int, other: bool = False) -> None:
        """Puts up the scene of `seed`; with `other` another object is named, if there is one."""

    def observe(self, look: bool = True) -> StepObservation:
        """What the policy observes now; `look`: with an image."""

    @property
    def set_points(self) -> np.ndarray:
        """What the joints are commanded to now (J,) [rad]."""

    def advance(self, targets: np.ndarray) -> bool:
        """One control step towards absolute joint targets [rad]; whether the scene's task is done at its end.

        `targets`: (J,) at the end of the step, or (K, J) at the ends of its K equal parts.
        """

    def other_instruction(self) -> str:
        """The scene's instruction with another object."""

    def scene_id(self) -> str:
        """12 hex digits of the scene as it stands; two scenes never share them."""

    def video_frame(self) -> np.ndarray:
        """A larger image for a video, uint8 (H, W, 3)."""

    def outcome(self) -> EndState:
        """How things stand now."""

    def close(self) -> None:
        """Frees the renderer."""


class TabletopArena:
    """The tabletop world of one task."""

    def __init__(self, task: Task | str, camera: str = "ego", image_px: int = 96) -> None:
        """`task`: a suite's, or by its file; `camera`: which one the policy sees through, at `image_px` [px] a side."""
        self.world, self.camera = World(task, image_size=image_px), camera
        self.task = self.world.task.name
        self.embodiment, self.max_steps = self.world.embodiment, self.world.task.max_steps

    @property
    def instruction(self) -> str:
        """What the scene asks for."""
        return self.world.instruction

    @property
    def steps(self) -> int:
        """Control steps run since the reset, by the simulation's clock."""
        return round(self.world.time_s * self.embodiment.rate_hz)

    def reset(self, seed: int, other: bool = False) -> None:
        """Puts up the scene of `seed`; with `other` the next object of a scene with several is named."""
        self.world.reset(seed)
        count = len(self.world.scene.objects)
        if other and count > 1:
            self.world.reset(seed, target=(self.world.scene.target + 1) % count)

    def observe(self, look: bool = True) -> StepObservation:
        """The camera's image, rendered only if asked for (`look`), and the measured joints."""
        return StepObservation(self.world.render(self.camera) if look else NOT_SEEN, self.world.joint_positions(), self.world.instruction)

    @property
    def set_points(self) -> np.ndarray:
        """What the servos pull to now (J,) [rad]."""
        return self.world.set_points

    def advance(self, targets: np.ndarray) -> bool:
        """One control step of physics, towards (J,) or the K rows of (K, J) one after the other."""
        rows = np.atleast_2d(targets)
        for row in rows:
            self.world.advance(row, 1.0 / self.embodiment.rate_hz / len(rows))
        return self.world.success()

    def other_instruction(self) -> str:
        """The instruction with the other object in view, or with one that is not there.

        Raises:
            DialError: the task knows one type of object only.
        """
        return other_instruction(self.world.task, self.world.scene.seed)

    def scene_id(self) -> str:
        """Of the physics state, the visible things' places, sizes and colours, and the instruction."""
        model, data = self.world.model, self.world.data
        digest = hashlib.sha256(self.world.instruction.encode())
        visible = model.geom_rgba[:, 3] > 0  # what is hidden keeps the sizes of an earlier scene
        for values in (data.qpos, model.body_pos, model.geom_size[visible], model.geom_rgba[visible]):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:12]

    def video_frame(self) -> np.ndarray:
        """The policy's view at 384x384."""
        return self.world.render(self.camera, 384, 384)

    def outcome(self) -> EndState:
        """Which objects stand in the target."""
        moved, named = set(self.world.moved_objects()), self.world.scene.target
        return EndState(len(self.world.scene.objects), named in moved, bool(moved - {named}))

    def close(self) -> None:
        """Frees the renderer."""
        self.world.close()
