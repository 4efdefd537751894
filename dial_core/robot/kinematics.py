"""Forward kinematics from an embodiment's link table: joints [rad] -> wrist poses and the state vector."""

import numpy as np

from dial_core.robot.embodiment import Embodiment, rotation_to_6d


class ForwardKinematics:
    """Wrist poses of an embodiment, by plain products of rigid transforms; no simulator needed on the robot."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._embodiment = embodiment
        links = {link.body: link for link in embodiment.links}
        index = {name: i for i, name in enumerate(embodiment.joint_names)}
        self._chains = []
        for wrist in (embodiment.wrists.left, embodiment.wrists.right):
            chain = []
            body: str | None = wrist
            while body is not None and body != embodiment.base:
                link = links[body]
                # A hinge that nobody commands (the head's) stays at zero and is part of the fixed transform.
                joint = index.get(link.joint) if link.joint else None
                fixed = np.eye(4)
                fixed[:3, :3] = quaternion_matrix(np.array(link.quaternion))
                fixed[:3, 3] = link.position
                chain.append((fixed, joint, _skew(np.array(link.axis))))
                body = link.parent
            self._chains.append(chain[::-1])

    def wrist_poses(self, joints: np.ndarray) -> np.ndarray:
        """Both wrists for `joints` (J,) [rad]: left position [m] 3, 6D rotation 6, right likewise: (18,), base frame."""
        return np.concatenate([self._pose(chain, joints) for chain in self._chains])

    def state(self, joints: np.ndarray) -> np.ndarray:
        """The state vector q_t (S,) float32 for `joints` (J,) [rad]: wrist poses, then the joints themselves."""
        return np.concatenate([self.wrist_poses(joints), joints]).astype(np.float32)

    @staticmethod
    def _pose(chain, joints: np.ndarray) -> np.ndarray:
        transform = np.eye(4)
        for fixed, joint, axis in chain:
            transform = transform @ fixed
            if joint is not None:
                angle = joints[joint]
                # Rodrigues: R = I + sin(a) K + (1 - cos(a)) K^2
                turn = np.eye(3) + np.sin(angle) * axis + (1 - np.cos(angle)) * (axis @ axis)
                transform[:3, :3] = transform[:3, :3] @ turn
        return np.concatenate([transform[:3, 3], rotation_to_6d(transform[:3, :3])])


def quaternion_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) of a quaternion (4,) in wxyz order, normalised first."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _skew(axis: np.ndarray) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
