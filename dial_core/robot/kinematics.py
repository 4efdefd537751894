"""Forward kinematics from an embodiment's link table: joint positions -> wrist poses and the state vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dial_core.robot.embodiment import Embodiment, Link
from dial_core.robot.rotations import from_axis_angle, from_quaternion, rotation_to_6d


@dataclass(frozen=True)
class _ChainJoint:
    """A joint on the way from base to wrist: position = multiplier * vector[index] + offset, along or about `axis`."""

    before: np.ndarray  # (4, 4), fixed transform from the joint before (or the base) to this joint's frame
    index: int
    axis: np.ndarray  # (3,), unit length
    slides: bool
    multiplier: float
    offset: float


@dataclass(frozen=True)
class _Chain:
    joints: tuple[_ChainJoint, ...]
    tip: np.ndarray  # (4, 4), fixed transform from the last joint's frame to the wrist


class ForwardKinematics:
    """Wrist poses of an embodiment as products of rigid transforms; needs no simulator on the robot."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._chains = [_chain(embodiment, wrist) for wrist in (embodiment.wrists.left, embodiment.wrists.right)]

    def wrist_poses(self, joints: np.ndarray) -> np.ndarray:
        """Both wrists in the base frame for joints (..., J) [rad or m], as (..., 18).

        Left position [m] 3, left 6D rotation 6, right position 3, right 6D rotation 6.
        """
        return np.concatenate([_pose(chain, np.asarray(joints, np.float64)) for chain in self._chains], -1)

    def state(self, joints: np.ndarray) -> np.ndarray:
        """State vectors q_t (..., S) float32 for joints (..., J) [rad or m]: wrist poses, then the joints themselves."""
        return np.concatenate([self.wrist_poses(joints), joints], -1).astype(np.float32)


class LinkPositions:
    """Origins of all links of an embodiment, for drawing it: a skeleton that any URDF gives, without meshes."""

    def __init__(self, embodiment: Embodiment) -> None:
        place = {link.body: index for index, link in enumerate(embodiment.links)}
        known = {name: index for index, name in enumerate(embodiment.joint_names)}
        self.parents = [-1 if link.parent is None else place[link.parent] for link in embodiment.links]
        self._fixed = [_transform(link) for link in embodiment.links]
        self._joints = [known.get(link.joint or "") for link in embodiment.links]
        self._axes = [np.array(link.axis) / np.linalg.norm(link.axis) for link in embodiment.links]
        self._links = embodiment.links

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """Positions (L, 3) [m] in the frame of the roots, for joints (J,) [rad or m]; joints that nobody commands stay at zero."""
        poses: list[np.ndarray] = []
        for parent, fixed, index, axis, link in zip(self.parents, self._fixed, self._joints, self._axes, self._links, strict=True):
            pose = fixed if parent < 0 else poses[parent] @ fixed
            if link.joint is not None:
                leader = 0.0 if index is None else joints[index]
                pose = pose @ _motion(link, (link.multiplier * leader + link.offset) * axis)
            poses.append(pose)
        return np.array([pose[:3, 3] for pose in poses])


def _chain(embodiment: Embodiment, wrist: str) -> _Chain:
    links = {link.body: link for link in embodiment.links}
    path: list[Link] = []
    body: str | None = wrist
    while body is not None and body != embodiment.base:
        path.append(links[body])
        body = links[body].parent
    known = {name: index for index, name in enumerate(embodiment.joint_names)}
    joints: list[_ChainJoint] = []
    fixed = np.eye(4)
    for link in reversed(path):
        fixed = fixed @ _transform(link)
        axis = np.array(link.axis) / np.linalg.norm(link.axis)
        # A joint that nobody commands (the head's) stays at zero, its followers at their offset: parts of the fixed transform.
        if link.joint is not None and link.joint not in known:
            fixed = fixed @ _motion(link, link.offset * axis)
        if link.joint in known:
            joints.append(_ChainJoint(fixed, known[link.joint], axis, link.kind == "prismatic", link.multiplier, link.offset))
            fixed = np.eye(4)
    return _Chain(tuple(joints), fixed)


def _transform(link: Link) -> np.ndarray:
    transform = np.eye(4)
    transform[:3, :3] = from_quaternion(np.array(link.quaternion))
    transform[:3, 3] = link.position
    return transform


def _motion(link: Link, value: np.ndarray) -> np.ndarray:
    """Transform (4, 4) of a link's joint that is turned about, or slid along, `value` (3,) [rad or m]."""
    motion = np.eye(4)
    if link.kind == "prismatic":
        motion[:3, 3] = value
    else:
        motion[:3, :3] = from_axis_angle(value)
    return motion


def _pose(chain: _Chain, joints: np.ndarray) -> np.ndarray:
    motions = np.zeros((*joints.shape[:-1], len(chain.joints), 4, 4))
    motions[..., range(4), range(4)] = 1.0
    if chain.joints:
        scale = np.array([joint.multiplier for joint in chain.joints])
        values = joints[..., [joint.index for joint in chain.joints]] * scale + [joint.offset for joint in chain.joints]
        vectors = values[..., None] * np.stack([joint.axis for joint in chain.joints])
        slides = np.array([joint.slides for joint in chain.joints])[:, None]
        motions[..., :3, :3] = from_axis_angle(np.where(slides, 0.0, vectors))
        motions[..., :3, 3] = np.where(slides, vectors, 0.0)
    transform = np.broadcast_to(np.eye(4), (*joints.shape[:-1], 4, 4))
    for place, joint in enumerate(chain.joints):
        transform = transform @ joint.before @ motions[..., place, :, :]
    transform = transform @ chain.tip
    return np.concatenate([transform[..., :3, 3], rotation_to_6d(transform[..., :3, :3])], -1)
