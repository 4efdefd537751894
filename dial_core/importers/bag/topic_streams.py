"""Which topics of a bag are what: cameras, joints, commands, instruction; and why the others are not used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.importers.bag.mapping import BagMapping, CommandTopic, NamedJoints
from dial_core.robot.embodiment import Camera, Embodiment

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
JOINT_STATE = "sensor_msgs/msg/JointState"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
ARRAY = "std_msgs/msg/Float64MultiArray"
GOAL_TYPES = ("control_msgs/action/FollowJointTrajectory_SendGoal_Event", "control_msgs/action/FollowJointTrajectory_Goal")
STATE_TYPES = ("control_msgs/msg/JointTrajectoryControllerState",)
COMMANDS = (TRAJECTORY, ARRAY, JOINT_STATE, *GOAL_TYPES, *STATE_TYPES)
TEXTS = ("std_msgs/msg/String", "dial_ros/msg/Instruction")
INSTRUCTIONS = ("instruction", "language_instruction", "task", "task_description", "prompt")  # last part of a topic's name

# Where a controller's commands are found, the first that has messages: what was sent, and at last what it reports to have received.
_OF_CONTROLLER = (
    ("joint_trajectory", (TRAJECTORY,)),
    ("follow_joint_trajectory/_action/send_goal/_service_event", GOAL_TYPES),
    ("commands", (ARRAY,)),
    ("controller_state", STATE_TYPES),
    ("state", STATE_TYPES),
)


@dataclass(frozen=True)
class Streams:
    """The topics of a bag that are read.

    Attributes:
        images: in the order of the cameras.
        joint_states: topics that together hold all joints.
        commands: by topic, which may hold those of several controllers.
        instruction: topic, or None.
        unused: why each other topic is not read.
    """

    images: tuple[str, ...]
    joint_states: tuple[NamedJoints, ...]
    commands: dict[str, tuple[CommandTopic, ...]]
    instruction: str | None
    unused: dict[str, str] = field(default_factory=dict)

    @property
    def joints(self) -> str:
        """The first topic of joint states."""
        return self.joint_states[0].topic

    @property
    def all(self) -> set[str]:
        """All topics that are read."""
        return {*self.images, *(source.topic for source in self.joint_states), *self.commands, *filter(None, [self.instruction])}


def find_streams(bag: Bag, embodiment: Embodiment, cameras: Sequence[Camera], mapping: BagMapping | None = None) -> Streams:
    """The topics of a robot in a bag, whatever namespace it was recorded in; `mapping` names those that are called otherwise.

    Raises:
        BagError: a camera or the joint states were not recorded, have another type, or are mapped to a topic that is not there.
    """
    mapping = mapping or BagMapping()
    _require_known(mapping, embodiment)
    images = tuple(
        _named(bag, mapping.cameras[camera.name], IMAGES)
        if camera.name in mapping.cameras
        else _required(bag, [f"{t}{ending}" for ending in ("", "/compressed") for t in (f"image/{camera.name}", camera.topic)], IMAGES)
        for camera in cameras
    )
    if mapping.joint_states:
        joints = mapping.joint_states
        for source in joints:
            _named(bag, source.topic, (JOINT_STATE,))
    else:
        known = embodiment.joint_states_topics.items()
        joints = tuple(NamedJoints(topic=_required(bag, [ours, theirs], (JOINT_STATE,))) for ours, theirs in known)
    commands = _commands(bag, embodiment, mapping)
    instruction = _named(bag, mapping.instruction, TEXTS) if mapping.instruction else _instruction(bag)
    found = Streams(images, joints, commands, instruction)
    unused = dict(bag.foreign) | {name: _why_unused(bag, name) for name in bag.topics if name not in found.all}
    return Streams(images, joints, commands, instruction, unused)


def _require_known(mapping: BagMapping, embodiment: Embodiment) -> None:
    """Refuses what would count for nothing: cameras, controllers or joints that the embodiment lacks, a second entry for joint states."""
    cameras = [camera.name for camera in embodiment.cameras]
    if unknown := sorted(mapping.cameras.keys() - set(cameras)):
        raise BagError(f"mapping: '{embodiment.name}' has no camera '{unknown[0]}'; it has {', '.join(cameras)}")
    topics = [source.topic for source in mapping.joint_states]
    if twice := next((topic for topic in topics if topics.count(topic) > 1), None):
        raise BagError(f"mapping: joint_states has several entries for {twice}; give it one, with all its names under `rename`")
    controllers = {controller.name: controller for controller in embodiment.controllers}
    for source in mapping.commands:
        if source.controller not in controllers:
            raise BagError(f"mapping: '{embodiment.name}' has no controller '{source.controller}'; it has {', '.join(controllers)}")
        if wrong := sorted(set(source.joints) - {"", *embodiment.joint_names}):
            raise BagError(f"mapping: '{embodiment.name}' has no joint '{wrong[0]}'; numbers of an array that are not used are named ''")
        if source.joints and not set(source.joints) & set(controllers[source.controller].joints):
            raise BagError(f"mapping: joints names none of {source.controller}: {', '.join(controllers[source.controller].joints)}")
    if mapping.controllers and not mapping.controllers.keys() & controllers.keys():
        raise BagError(
            f"there are settings of {', '.join(mapping.controllers)}, but '{embodiment.name}' has {', '.join(controllers)}; "
            "name them alike (--controllers, `controllers` of --mapping)"
        )


def _commands(bag: Bag, embodiment: Embodiment, mapping: BagMapping) -> dict[str, tuple[CommandTopic, ...]]:
    sources = list(mapping.commands)
    for source in sources:
        _named(bag, source.topic, COMMANDS)
    mapped = {source.controller for source in sources}
    for controller in embodiment.controllers:
        if controller.name not in mapped and (topic := _of_controller(bag, controller.name)):
            sources.append(CommandTopic(topic=topic, controller=controller.name))
    commands: dict[str, tuple[CommandTopic, ...]] = {}
    for source in sources:
        commands[source.topic] = (*commands.get(source.topic, ()), source)
    return commands


def _of_controller(bag: Bag, name: str) -> str | None:
    silent = None
    for ending, kinds in _OF_CONTROLLER:
        topic = _found(bag, (f"{name}/{ending}",))
        if topic is None or bag.topics[topic].type not in kinds:
            continue
        if bag.counts.get(topic, 0):
            return topic
        silent = silent or topic
    return silent


def _instruction(bag: Bag) -> str | None:
    """The topic of instructions by its name; one without messages only if there is no other."""
    candidates = [
        topic for name in INSTRUCTIONS for topic in sorted(bag.topics) if topic.split("/")[-1] == name and bag.topics[topic].type in TEXTS
    ]
    return next((topic for topic in candidates if bag.counts.get(topic, 0)), candidates[0] if candidates else None)


def _why_unused(bag: Bag, name: str) -> str:
    if not bag.counts.get(name, 0):
        return "it has no message"
    kind = bag.topics[name].type
    if kind in IMAGES:
        return "no camera of the embodiment has it (--mapping names one)"
    if kind in (TRAJECTORY, *GOAL_TYPES):
        return "no controller of the embodiment has it (--mapping names one)"
    return f"{kind} is not needed"


def _found(bag: Bag, names: Sequence[str]) -> str | None:
    for name in dict.fromkeys(names):
        bare = name.lstrip("/")
        fitting = [topic for topic in bag.topics if topic == f"/{bare}"] or [topic for topic in bag.topics if topic.endswith(f"/{bare}")]
        if len(fitting) > 1:  # a topic that was declared and never used is no choice
            fitting = [topic for topic in fitting if bag.counts.get(topic, 0)] or fitting
        if len(fitting) > 1:
            raise BagError(f"several topics could be {bare}: {', '.join(sorted(fitting))}; record one robot a bag, or use --mapping")
        if fitting:
            return fitting[0]
    return None


def _best(bag: Bag, names: Sequence[str], kinds: Sequence[str]) -> str | None:
    """The first topic of these names that has one of the types and messages; else the first that has one of both, or is there."""
    best: tuple[tuple[bool, bool], str] | None = None
    for name in names:
        if (topic := _found(bag, (name,))) is None:
            continue
        rank = (bag.topics[topic].type in kinds, bool(bag.counts.get(topic, 0)))
        if best is None or rank > best[0]:
            best = rank, topic
        if all(rank):
            break
    return best[1] if best else None


def _required(bag: Bag, names: Sequence[str], kinds: Sequence[str]) -> str:
    topic = _best(bag, names, kinds)
    if topic is None:
        for name, why in bag.foreign.items():
            if any(f"/{name.lstrip('/')}".endswith(f"/{wanted.lstrip('/')}") for wanted in names):
                raise BagError(f"topic {name} cannot be read: {why}")
        wanted = " or ".join(dict.fromkeys(f"/{name.lstrip('/')}" for name in names))
        there = ", ".join(sorted(bag.topics)) or "none"
        unreadable = f"; unreadable are {', '.join(f'{name} ({why})' for name, why in sorted(bag.foreign.items()))}" if bag.foreign else ""
        raise BagError(f"no topic {wanted}; the bag has {there}{unreadable}. Topics of other names are read with --mapping")
    return _typed(bag, topic, kinds)


def _named(bag: Bag, topic: str, kinds: Sequence[str]) -> str:
    """A topic that the mapping names."""
    if topic in bag.foreign:
        raise BagError(f"topic {topic}, which the mapping names, cannot be read: {bag.foreign[topic]}")
    if topic not in bag.topics:
        raise BagError(f"no topic {topic}, which the mapping names; the bag has {', '.join(sorted(bag.topics)) or 'none'}")
    return _typed(bag, topic, kinds)


def _typed(bag: Bag, topic: str, kinds: Sequence[str]) -> str:
    if bag.topics[topic].type not in kinds:
        raise BagError(f"topic {topic} has type {bag.topics[topic].type}, expected {' or '.join(kinds)}")
    return topic
