"""The future that the expert would bring about: a foresight without the error of any model.

No upper bound of success: System-1 is trained on System-2's foresights and has adapted to what they are like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dial_core.evaluation.closed_loop.arena import TabletopArena
from dial_core.sim.expert.expert import Expert


@dataclass
class ExpertFuture:
    """The expert's own episode of a scene.

    In closed loop there is no true future to look up: what will be seen depends on what is done. The next best is what the
    expert sees one horizon after the moment in which its robot stood most like ours. The match only moves forward, so
    that a pose passed twice (over the object, before and after the grasp) is not mistaken.

    Attributes:
        frames: uint8 (T, H, W, 3).
        joints: (T, J) [rad], measured.
        horizon: control steps that a foresight predicts ahead.
    """

    frames: np.ndarray
    joints: np.ndarray
    horizon: int
    reached: int = 0

    @classmethod
    def of(cls, arena: TabletopArena, seed: int, horizon: int) -> ExpertFuture:
        """Runs the expert on the scene as it stands, and puts the scene back."""
        named = arena.world.scene.target
        expert = Expert(arena.world, seed)
        frames: list[np.ndarray] = []
        joints: list[np.ndarray] = []
        while not expert.done and len(frames) < arena.max_steps:
            seen = arena.observe()
            frames.append(seen.image)
            joints.append(seen.joints)
            arena.advance(expert.action()[arena.embodiment.joint_slice].astype(np.float64))
        arena.world.reset(seed, target=named)
        return cls(np.stack(frames), np.stack(joints), horizon)

    def frame(self, joints: np.ndarray, ahead: int = 20) -> np.ndarray:
        """What the expert saw one horizon later, uint8 (H, W, 3).

        Args:
            joints: our robot's, (J,) [rad].
            ahead: how far the match may move at once [control steps].
        """
        window = self.joints[self.reached : self.reached + ahead + 1]
        self.reached += int(np.argmin(np.linalg.norm(window - joints, axis=1)))
        return self.frames[min(self.reached + self.horizon, len(self.frames) - 1)]
