"""From the parts of anybody's vectors to ours: wrist poses, then the embodiment's joints (`config/sources/<name>.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from dial_core.config import Config, load_config
from dial_core.datasets.modality import ACTION, STATE, Modality, VectorPart
from dial_core.errors import DialError
from dial_core.importers.reach import beyond_reach, units_that_fit
from dial_core.robot.embodiment import EEF_DIM, Embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.rotations import matrices, rotation_to_6d
from dial_core.robot.vector_layout import LayoutConverter, VectorLayout, load_layout

Numbers = float | tuple[float, ...]  # one for all, or one for each joint of the group


class PartRule(Config):
    """How a joint group is made from a part: its numbers in `order`, times `scale`, plus `offset`, in [rad]."""

    part: str = ""  # if empty, the part of the group's name, or the dimensions with the names of its joints
    order: tuple[int, ...] = ()  # all, as they are, if empty
    scale: Numbers = 1.0
    offset: Numbers = 0.0  # [rad]


class WristRule(Config):
    """Parts that hold a wrist's pose, in the frame of the mapping's layout."""

    position: str
    rotation: str


class SourceMapping(Config):
    """How one family of datasets is read.

    Attributes:
        embodiment: the robot that they are of.
        camera: name in modality.json's `video` of the view to take; empty: the first one.
        annotation: name in modality.json's `annotation` of the instruction; empty: the first one, or the task.
        drop_prefix: left out of the beginning of an instruction.
        layout: whose units its joints have and whose frame its wrists (`config/layouts/`); the order of groups is modality.json's.
        groups: rules of joint groups whose part has another name, order or unit; without a rule, the part of the same name.
        absent: groups that the data does not have; they stay at the home position.
        wrists: rules by `left` and `right`; without them, wrist poses are computed by forward kinematics.
        quaternion_order: of wrist rotations that are quaternions.
    """

    embodiment: str = "gr1"
    camera: str = ""
    annotation: str = ""
    drop_prefix: str = ""
    layout: str = "ours"
    groups: dict[str, PartRule] = {}
    absent: tuple[str, ...] = ()
    wrists: dict[Literal["left", "right"], WristRule] = {}
    quaternion_order: Literal["wxyz", "xyzw"] = "wxyz"


def load_mapping(name: str) -> SourceMapping:
    """The mapping `name` from `config/sources/`, or from a path."""
    return load_config(SourceMapping, "sources", name)


class VectorReader:
    """Makes our state and action vectors from an episode's columns.

    Attributes:
        state_parts, action_parts: of each joint group, one part or one for each joint; none: the group stays at home.
    """

    def __init__(self, mapping: SourceMapping, modality: Modality, embodiment: Embodiment, with_actions: bool = True) -> None:
        """
        Args:
            with_actions: look for the parts of the actions too, which `actions` needs; a dataset may have none.

        Raises:
            DialError: a joint group of the embodiment is not to be found, or has another width; the message lists the parts.
        """
        wanted = _both(modality) if with_actions else _both(modality)[:1]
        for column in (STATE, ACTION)[: len(wanted)]:
            if column in modality.faults:
                raise DialError(modality.faults[column])
        self.mapping, self.embodiment = mapping, embodiment
        self._kinematics, self._layout = ForwardKinematics(embodiment), LayoutConverter(_units(mapping, embodiment), embodiment)
        self._home = self._layout.joints_from_ours(embodiment.home_position)
        self._groups = list(dict.fromkeys(joint.group for joint in embodiment.joints))
        self.state_parts = {group: self._parts(group, modality.state, "state") for group in self._groups}
        self.action_parts = {group: self._parts(group, modality.action, "action") for group in self._groups if with_actions}
        for what, groups in (("state", self.state_parts), ("action", self.action_parts)):
            _require_apart([part for group, parts in groups.items() for part in parts if not self._ordered(group)], what)
        self._wrists = {
            side: tuple(self._part(name, parts, what) for what, parts in wanted for name in (rule.position, rule.rotation))
            for side, rule in mapping.wrists.items()
        }

    def _ordered(self, group: str) -> bool:
        """Whether a rule picks the group's numbers out of a part, which several groups may share."""
        rule = self.mapping.groups.get(group)
        return rule is not None and bool(rule.order)

    def states(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """State vectors, float32 (T, S)."""
        joints = np.concatenate([self._joints(group, self.state_parts[group], columns) for group in self._groups], 1)
        return self._vectors(joints, columns, 0)

    def actions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Action vectors, absolute targets, float32 (T, S); parts that modality.json calls relative are added to the state."""
        joints = []
        for group in self._groups:
            targets, parts = self._joints(group, self.action_parts[group], columns), self.action_parts[group]
            if relative := _relative(parts):
                targets = targets + np.where(relative, self._joints(group, self.state_parts[group], columns), 0.0)
            joints.append(targets)
        return self._vectors(np.concatenate(joints, 1), columns, 2)

    def _vectors(self, joints: np.ndarray, columns: Mapping[str, np.ndarray], first: int) -> np.ndarray:
        self._require_within_reach(joints)
        joints = self._layout.joints_to_ours(joints)
        wrists = [self._wrist(side, columns, first) for side in ("left", "right")]
        if any(wrist is None for wrist in wrists):
            computed = self._kinematics.wrist_poses(joints)
            wrists = [computed[:, 9 * i : 9 * i + 9] if wrist is None else wrist for i, wrist in enumerate(wrists)]
        return np.concatenate([*wrists, joints], 1).astype(np.float32)

    def _require_within_reach(self, joints: np.ndarray) -> None:
        """Raises DialError if one of `joints` (T, J) is farther than it can be, with the units that fit its limits."""
        if (found := beyond_reach(joints, self.embodiment)) is None:
            return
        joint, column = self.embodiment.joints[found[0]], joints[:, found[0]]
        units = " or ".join(units_that_fit(column, joint.lower, joint.upper)) or "of another unit"
        by_joint = "; where they are normalised, by each joint's own range, one number for each joint of the group"
        mapping = f"a mapping (config/sources/){by_joint if 'normalised' in units else ''}"
        raise DialError(
            f"joint '{joint.name}' reaches {column[np.abs(column).argmax()]:.5g}, beyond {found[1]}; positions are in radians or metres, "
            f"are these {units}? Then give `scale` and `offset` of group '{joint.group}' in {mapping}"
        )

    def _wrist(self, side: str, columns: Mapping[str, np.ndarray], first: int) -> np.ndarray | None:
        if side not in self._wrists:
            return None
        position, rotation = self._wrists[side][first : first + 2]
        if not (position.absolute and rotation.absolute):
            raise DialError(f"the {side} wrist's action is relative, which is only understood of joints; leave `wrists` out of the mapping")
        turned = matrices(rotation.of(columns), rotation.rotation or "rotation_6d", self.mapping.quaternion_order)
        return self._layout.wrist_to_ours(np.concatenate([position.of(columns), rotation_to_6d(turned)], 1))

    def _joints(self, group: str, parts: tuple[VectorPart, ...], columns: Mapping[str, np.ndarray]) -> np.ndarray:
        place = self.embodiment.group_slice(group)
        if not parts:
            home = self._home[place.start - EEF_DIM : place.stop - EEF_DIM]
            return np.tile(home, (len(next(iter(columns.values()))), 1))
        rule = self.mapping.groups.get(group, PartRule())
        values = np.concatenate([part.of(columns) for part in parts], 1).astype(np.float64)
        values = values[:, rule.order] if rule.order else values
        return values * np.array(rule.scale) + np.where(_relative(parts), 0.0, rule.offset)

    def _parts(self, group: str, parts: Mapping[str, VectorPart], what: str) -> tuple[VectorPart, ...]:
        """The part of a group, or one of each of its joints, where the data names single joints."""
        if group in self.mapping.absent:
            return ()
        members = [joint.name for joint in self.embodiment.joints if joint.group == group]
        rule = self.mapping.groups.get(group)
        self._require_one_each(group, len(members))
        named = not (rule and rule.part) and group not in parts  # by the joints
        if named and all(name in parts for name in members):
            if rule and rule.order:
                raise DialError(
                    f"the `order` of joint group '{group}' in the mapping is that of a part; its joints are found by their names"
                )
            if wide := next((name for name in members if parts[name].end - parts[name].start != 1), None):
                raise DialError(f"part '{wide}' of the {what} has {parts[wide].end - parts[wide].start} numbers, a joint has one")
            return tuple(parts[name] for name in members)
        if named and (lacking := [name for name in members if name not in parts]) != members:
            raise DialError(
                f"the {what} has no dimension, or several, named {', '.join(lacking)} of joint group '{group}'; rename them in "
                "meta/info.json, give the group a rule in a mapping (config/sources/), or list it as `absent`"
            )
        part = self._part((rule and rule.part) or group, parts, what)
        numbers = part.end - part.start
        if rule and (outside := [place for place in rule.order if not 0 <= place < numbers]):
            raise DialError(
                f"the `order` of joint group '{group}' in the mapping asks for number {outside[0]} of part '{part.name}' of the {what}, "
                f"which has {numbers}: they are counted from 0"
            )
        width = len(rule.order) if rule and rule.order else numbers
        if width != len(members):
            raise DialError(
                f"part '{part.name}' of the {what} has {width} numbers, joint group '{group}' of '{self.embodiment.name}' has "
                f"{len(members)} joints; give the group an `order` in the mapping, or choose the embodiment that the data is of"
            )
        return (part,)

    def _require_one_each(self, group: str, joints: int) -> None:
        """Raises DialError if the rule of a group with so many joints lists `scale` or `offset` for another number of them."""
        rule = self.mapping.groups.get(group, PartRule())
        for name, values in (("scale", rule.scale), ("offset", rule.offset)):
            if isinstance(values, tuple) and len(values) != joints:
                raise DialError(
                    f"`{name}` of joint group '{group}' in the mapping has {len(values)} numbers; give one, or one for each of its "
                    f"{joints} joints"
                )

    def _part(self, name: str, parts: Mapping[str, VectorPart], what: str) -> VectorPart:
        if name not in parts:
            raise DialError(
                f"the {what} has no part '{name}', which embodiment '{self.embodiment.name}' needs; parts: {', '.join(parts) or 'none'}. "
                "Name it in a mapping (config/sources/), or list the group as `absent`"
            )
        return parts[name]


def _require_apart(parts: Sequence[VectorPart], what: str) -> None:
    """Refuses parts of different joints that share a dimension: a slip in modality.json, by which two arms would move alike."""
    for before, part in pairwise(sorted(parts, key=lambda part: (part.column, part.start))):
        if part.column == before.column and part.start < before.end:
            raise DialError(
                f"parts '{before.name}' and '{part.name}' of the {what} both hold dimension {part.start} of '{part.column}'; "
                "correct `start` and `end` in meta/modality.json"
            )


def _relative(parts: tuple[VectorPart, ...]) -> list[bool] | bool:
    """Whether actions are steps to add to the state: of one part, or of each of several joints; False if none is."""
    flags = [not part.absolute for part in parts]
    return flags if len(flags) > 1 and any(flags) else any(flags)


def _units(mapping: SourceMapping, embodiment: Embodiment) -> VectorLayout:
    """The mapping's layout without its order, which modality.json gives, for the joints that this embodiment has."""
    layout = load_layout(mapping.layout)
    hinges = {joint: limits for joint, limits in layout.hinges.items() if joint in embodiment.joint_names}
    return layout.model_copy(update={"groups": (), "hinges": hinges})


def _both(modality: Modality) -> tuple[tuple[str, Mapping[str, VectorPart]], tuple[str, Mapping[str, VectorPart]]]:
    return ("state", modality.state), ("action", modality.action)
