"""How the topics of a bag are named, where they are not named as our own: `dial convert bag --mapping FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dial_core.config import Config, load_config, read_yaml, validate
from dial_core.control.joint_trajectory_controller import ControllerRules
from dial_core.errors import DialError


class NamedJoints(Config):
    """A topic whose joints may be named otherwise than the embodiment's.

    Attributes:
        topic: as recorded.
        prefix: taken off the joints' names, e.g. `left_arm/`.
        rename: the embodiment's name by the name in the messages, after the prefix is off.
    """

    topic: str
    prefix: str = ""
    rename: dict[str, str] = {}

    def name(self, recorded: str) -> str:
        """The embodiment's name of a recorded joint."""
        bare = recorded.removeprefix(self.prefix)
        return self.rename.get(bare, bare)


class CommandTopic(NamedJoints):
    """A topic of commands: JointTrajectory, FollowJointTrajectory goals, Float64MultiArray, JointState or a controller's state.

    Attributes:
        controller: of the embodiment, whose joints they are for. A topic for several controllers has an entry for each.
        joints: of a Float64MultiArray, in its order, '' for a number that is not used; empty: the controller's, in its order.
    """

    controller: str
    joints: tuple[str, ...] = ()


class BagMapping(Config):
    """What cannot be found by name.

    Attributes:
        cameras: topic by camera of the embodiment.
        joint_states: one or several topics that together hold all joints.
        commands: topics of commands; controllers without any are looked for by name.
        controllers: rules by controller, as in ros2_control's YAML; without an entry they are judged by what the joints did.
        instruction: topic of the instruction, a String or our Instruction.
    """

    cameras: dict[str, str] = {}
    joint_states: tuple[NamedJoints, ...] = ()
    commands: tuple[CommandTopic, ...] = ()
    controllers: dict[str, ControllerRules] = {}
    instruction: str = ""


def load_bag_mapping(name: str, controllers_yaml: str = "") -> BagMapping:
    """The mapping in a YAML file, empty if none is named, with the rules in a ros2_control YAML file, if one is named.

    Raises:
        DialError: a file is missing or says something that is not understood; it names the file and the key.
    """
    mapping = load_config(BagMapping, "bags", name) if name else BagMapping()
    rules = read_controller_rules(Path(controllers_yaml)) if controllers_yaml else {}
    return mapping.model_copy(update={"controllers": mapping.controllers | rules})


def read_controller_rules(path: Path) -> dict[str, ControllerRules]:
    """The rules in the parameters of a controller manager (`controllers.yaml`), by controller; other parameters are passed over.

    Raises:
        DialError: it cannot be read, or no controller in it has parameters.
    """
    content = read_yaml(path)
    rules = {
        name: validate(ControllerRules, {key: parameters[key] for key in ControllerRules.model_fields if key in parameters}, source=path)
        for name, parameters in _parameters(content)
        if parameters.keys() & {"joints", *ControllerRules.model_fields}
    }
    if not rules:
        raise DialError(f"{path} has no controller with `ros__parameters: joints:`; name the YAML file that the controller manager loads")
    return rules


def _parameters(content: object) -> Iterator[tuple[str, dict]]:
    """Name and parameters of every node in a parameter file, however its namespaces are nested."""
    for name, entry in content.items() if isinstance(content, dict) else ():
        if isinstance(entry, dict) and isinstance(parameters := entry.get("ros__parameters"), dict):
            yield str(name).split("/")[-1], parameters
        yield from _parameters(entry)
