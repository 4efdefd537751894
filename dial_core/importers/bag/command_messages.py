"""Commands of any form as trajectory requests: trajectories, action goals, plain set-points, the reference that a controller reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from dial_core.control.joint_trajectory_controller import TrajectoryRequest
from dial_core.importers.bag.mapping import CommandTopic
from dial_core.observation.readings import UnreadableMessageError
from dial_core.robot.embodiment import Controller

_AT_ONCE_NS = 1


def read_command(message: Any, source: CommandTopic, controller: Controller) -> TrajectoryRequest | None:
    """What a message asks of a controller, with the embodiment's joint names; None if it asks nothing (the answer to a goal).

    Raises:
        UnreadableMessageError: it holds no positions, not as many as joints, or for the controller's joints values that are not finite.
    """
    trajectory = _trajectory(message)
    if trajectory is not None:
        return _finite(_renamed(_plain(trajectory), source, controller))
    if hasattr(message, "request"):
        return None  # the event of a goal's answer
    names, positions = _set_points(message, source, controller)
    if len(positions) != len(names):
        raise UnreadableMessageError(f"it has {len(positions)} positions for {len(names)} joints; name the joints with --mapping")
    request = TrajectoryRequest(tuple(names), 0, (_AT_ONCE_NS,), (tuple(float(p) for p in positions),), ((),))
    return _finite(_renamed(request, source, controller))


def is_set_point(request: TrajectoryRequest) -> bool:
    """Whether a request holds from now on, as of a forward_command_controller, which has no rules of its own."""
    return request.stamp_ns == 0 and request.times_ns == (_AT_ONCE_NS,)


def _finite(request: TrajectoryRequest) -> TrajectoryRequest:
    """The request itself. Raises UnreadableMessageError if a value is not finite: no robot has followed that."""
    rows = (*request.positions, *request.velocities, *request.accelerations)
    if not all(map(math.isfinite, chain.from_iterable(rows))):
        raise UnreadableMessageError("it holds values that are not finite")
    return request


def _trajectory(message: Any) -> Any:
    """The JointTrajectory in a message, in a goal, or in the event of a goal's request."""
    if hasattr(message, "points") and hasattr(message, "joint_names"):
        return message
    for inner in ("trajectory", "goal", "request"):
        value = getattr(message, inner, None)
        if isinstance(value, list):
            value = value[0] if value else None
        if value is not None and not isinstance(value, (str, bytes)):
            return _trajectory(value)
    return None


def _set_points(message: Any, source: CommandTopic, controller: Controller) -> tuple[Sequence[str], Sequence[float]]:
    """Joint names and positions that hold from now on."""
    if hasattr(message, "layout"):  # Float64MultiArray
        return source.joints or controller.joints, list(message.data)
    for name in ("reference", "desired"):  # a controller's state, by the names of Jazzy and of Humble
        point = getattr(message, name, None)
        if point is not None and len(getattr(point, "positions", ())):
            return message.joint_names, list(point.positions)
    if hasattr(message, "name") and hasattr(message, "position"):  # JointState
        return message.name, list(message.position)
    raise UnreadableMessageError(f"{type(message).__name__} holds no positions")


def _plain(trajectory: Any) -> TrajectoryRequest:
    """A JointTrajectory of rosbags with plain lists, as rclpy's has."""
    for point in trajectory.points:
        for part in ("positions", "velocities", "accelerations", "effort"):
            point.__dict__[part] = list(getattr(point, part))
    return TrajectoryRequest.from_message(trajectory)


def _renamed(request: TrajectoryRequest, source: CommandTopic, controller: Controller) -> TrajectoryRequest:
    """With the embodiment's names; of a message for several controllers, this one's joints."""
    names = tuple(source.name(name) for name in request.joint_names)
    own = [place for place, name in enumerate(names) if name in controller.joints]
    if not own or len(own) == len(names) or set(names) == set(controller.joints):
        return replace(request, joint_names=names)

    def chosen(rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row[place] for place in own) if len(row) == len(names) else row for row in rows)

    return replace(
        request,
        joint_names=tuple(names[place] for place in own),
        positions=chosen(request.positions),
        velocities=chosen(request.velocities),
        accelerations=chosen(request.accelerations),
        efforts=chosen(request.efforts),
    )
