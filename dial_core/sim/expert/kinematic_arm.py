"""Inverse kinematics of one arm and the waist with mink: palm poses in, joint targets out."""

import mink
import mujoco
import numpy as np

from dial_core.robot.embodiment import Embodiment
from dial_core.sim.robot import coupled_hinges

STEP_S = 0.05  # integration step of one iteration [s]
ORIENTATION_COST = 0.4
POSTURE_COST = 1e-3
WAIST_COST = 0.6  # high: the head camera sits on the torso


class KinematicArm:
    """A copy of the robot without a world that follows poses of the grasp site of one hand."""

    def __init__(self, robot: mujoco.MjModel, embodiment: Embodiment, hand: str) -> None:
        """`robot`: a model with the embodiment's bodies; other bodies in it do no harm but cost time."""
        self._configuration = mink.Configuration(robot)
        self._embodiment = embodiment
        hinges = coupled_hinges(embodiment)
        self._qpos = np.array([robot.joint(names[0]).qposadr[0] for names in hinges])
        self._joints = embodiment.home_position.copy()
        self._arm_and_waist = np.array([j.group in (f"{hand}_arm", "waist") for j in embodiment.joints])
        cost = np.full(robot.nv, POSTURE_COST)
        waist = [robot.joint(j.name).dofadr[0] for j in embodiment.joints if j.group == "waist"]
        cost[waist] = WAIST_COST
        self._posture = mink.PostureTask(robot, cost=cost)
        self._frame = mink.FrameTask(f"{hand}_grasp", "site", position_cost=1.0, orientation_cost=ORIENTATION_COST)
        limits = mink.ConfigurationLimit(robot)
        self._tasks, self._limits = [self._frame, self._posture], [limits]

    def start(self, joints: np.ndarray, posture: np.ndarray | None = None) -> None:
        """Begins at `joints` (29,) [rad]; redundancy is resolved towards `posture` (29,), by default `joints`."""
        self._posture.set_target(self._full(joints if posture is None else posture))
        self._configuration.update(self._full(joints))
        self._joints = np.array(joints, dtype=np.float64)

    def palm_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the grasp site is now: position (3,) [m], rotation (3, 3)."""
        pose = self._configuration.get_transform_frame_to_world(self._frame.frame_name, "site")
        return pose.translation(), pose.rotation().as_matrix()

    def follow(self, position: np.ndarray, rotation: np.ndarray, iterations: int = 4) -> np.ndarray:
        """Joints (29,) [rad] after a few steps towards the pose; joints of other groups stay as started."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, position
        self._frame.set_target(mink.SE3.from_matrix(matrix))
        for _ in range(iterations):
            velocity = mink.solve_ik(self._configuration, self._tasks, STEP_S, solver="daqp", damping=1e-6, limits=self._limits)
            self._configuration.integrate_inplace(velocity, STEP_S)
        return np.where(self._arm_and_waist, self._configuration.q[self._qpos], self._joints)

    def error(self) -> tuple[float, float]:
        """Distance [m] and angle [rad] left to the pose last followed."""
        error = self._frame.compute_error(self._configuration)
        return float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:]))

    def _full(self, joints: np.ndarray) -> np.ndarray:
        q = self._configuration.model.qpos0.copy()
        q[self._qpos] = np.where(self._arm_and_waist, joints, q[self._qpos])
        return q


def palm_rotation(heading_rad: float, dip_rad: float, left: bool = False) -> np.ndarray:
    """Rotation (3, 3) of a handshake palm: fingers point along `heading_rad` (0: ahead, positive left), dipped downwards.

    Palm frame: fingers along -z, the right palm's normal +y (the left one's -y), thumb side +x.
    """
    fingers = np.array(
        [
            np.cos(heading_rad) * np.cos(dip_rad),
            np.sin(heading_rad) * np.cos(dip_rad),
            -np.sin(dip_rad),
        ]
    )
    normal = np.array([-np.sin(heading_rad), np.cos(heading_rad), 0.0])
    return np.stack([np.cross(normal, -fingers), normal, -fingers], axis=1)
