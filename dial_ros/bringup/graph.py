"""Nodes, parameters and remappings of every graph as plain data, read by launch/*.launch.py and by runner.py.

Graphs. `sim`: system2, system1 and mujoco_robot, which stands for robot and controllers. `humanoid`: the same without
mujoco_robot; the topics are remapped to the robot's own, as its embodiment YAML names them. `teleoperate`: mujoco_robot moved by
keys on the page, with the recorder. `record`: the recorder, beside one of these or beside a teleoperated robot.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from dial_core.checkpoint.location import DEFAULT_CHECKPOINT, checkpoint_folder
from dial_core.config import config_path, config_root
from dial_core.control.trajectory_checks import Tolerances
from dial_core.errors import DialError
from dial_core.robot.embodiment import Embodiment, load_embodiment
from dial_core.sim.task import EVALUATION_SEEDS_FROM, require_training_seed
from dial_ros.bringup.parameter_files import OwnParameters, parameters_of, read_own_parameters
from dial_ros.node.dry_run import ASIDE, is_aside
from dial_ros.node.process import END_WITH_PARENT

Value = str | int | float | bool


@dataclass(frozen=True)
class Argument:
    """An argument of a graph: of its launch file and of the runner."""

    name: str
    default: Value
    description: str


@dataclass(frozen=True)
class NodeSpec:
    """One process of a graph."""

    name: str  # ROS node name, which is also the executable in lib/dial_ros
    module: str  # for `python -m`
    parameter_file: Path | None  # `parameters` take precedence over its values; None: the defaults of the code
    parameters: dict[str, Value]  # the user's own, and those that the arguments decide
    remappings: dict[str, str] = field(default_factory=dict)  # name inside the node -> name on the robot
    enclave: str = ""  # of SROS2
    required: bool = True  # when it dies, the graph is stopped
    grace_s: float = 8.0  # after SIGINT, before the starter escalates: a node finishes its inference and destroys its publishers

    @property
    def executable(self) -> str:
        """Name for `ros2 run dial_ros <executable>`."""
        return self.name


RECORDER_GRACE_S = 180.0  # it writes what waits for the disk, 512 MiB at most (`queue_mb`), and says how long that takes
WAY_TO_GUARD_S = 0.05  # of the least splice_lead with a guard, which needs the rest before a trajectory differs from the one before

_POLICY_ARGUMENTS = (
    Argument("robot", "gr1", "embodiment: a name in config/embodiments/, or a path to a YAML file"),
    Argument("checkpoint", "", "trained model: a folder, or the name of one that comes with the package; empty: dial_tiny"),
    Argument("camera", "ego", "which of the embodiment's cameras the model sees and the page shows"),
    Argument("cameras", "", "other topics of the robot's cameras, CAMERA=TOPIC and commas between; empty: as the embodiment says"),
    Argument("device", "cpu", "where the model runs: cpu, cuda, cuda:1, ..."),
    Argument("runtime", "auto", "what it computes with: auto, eager, or a program of `dial export`: aoti, onnx, int8, tensorrt-bf16"),
    Argument("namespace", "", "ROS namespace of every node and topic, for several robots in one network"),
    Argument("controllers", "", "other names of the robot's controllers, OURS=THEIRS and commas between; empty: as the embodiment says"),
    Argument("dry_run", False, "publish trajectories under dry_run/ only: everything runs, and no controller receives them"),
    Argument("guard", False, "also start the guard, which checks every trajectory before the controllers get it (docs/guard.md)"),
    Argument("autostart", True, "configure and activate the nodes at once; false: leave that to `ros2 lifecycle set`"),
    Argument("params_file", "", "YAML file of your own parameters, in ROS's format; the others keep the values of config/nodes/"),
    Argument("enclaves", "", "SROS2: where the nodes' enclaves lie, as /dial; empty: none (docs/security.md)"),
)
_OF_RECORDER = ("robot", "cameras", "namespace", "autostart", "controllers", "dry_run", "params_file", "enclaves")
_SIM_TIME = Argument("use_sim_time", True, "take the time from /clock, which mujoco_robot publishes")
_PAGE = (
    Argument("page", False, "also start the operator page, http://127.0.0.1:8080 (docs/operator.md)"),
    Argument("page_host", "127.0.0.1", "address the page listens on; any but this machine's own needs page_token"),
    Argument("page_port", 8080, "port of the page; 0: a free one"),
    Argument("page_token", "", "what a visitor of the page must know"),
    Argument("page_read_only", False, "spectators only: the page shows everything and can do nothing but the emergency stop"),
)
_RECORDER = (
    Argument("record", False, "also start the recorder, so that episodes can be recorded from the page (docs/recording.md)"),
    Argument("directory", "recordings", "folder in which every recorded episode gets a folder"),
)
_TASK = Argument("task", "PlacematToPlate", "task of the simulated world: a name in config/tasks/")
_SIMULATION = (
    Argument("real_time_factor", 1.0, "upper bound of simulated over wall time [1]; 0: as fast as it goes"),
    Argument("scene_camera", False, "also publish image/scene, a view from the side"),
)
_WORLD = (
    _TASK,
    Argument("seed", EVALUATION_SEEDS_FROM, f"seed of the first scene; training uses 0 to {EVALUATION_SEEDS_FROM - 1}"),
    *_SIMULATION,
)
# Of demonstrations by hand: a policy is not trained on scenes that it is evaluated on.
_TRAINING_WORLD = (
    _TASK,
    Argument("seed", 0, f"seed of the first scene; those from {EVALUATION_SEEDS_FROM} on are for evaluation and refused"),
    *_SIMULATION,
)
_ROBOT_TIME = Argument("use_sim_time", False, "take the time from /clock; true only when playing back a bag or in a simulator")

ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "sim": (
        *_POLICY_ARGUMENTS,
        _SIM_TIME,
        *_WORLD,
        *_PAGE,
        *_RECORDER,
    ),
    "humanoid": (*_POLICY_ARGUMENTS, _ROBOT_TIME, *_PAGE, *_RECORDER),
    "teleoperate": (
        *(argument for argument in _POLICY_ARGUMENTS if argument.name not in ("checkpoint", "device", "runtime", "guard", "enclaves")),
        _SIM_TIME,
        *_TRAINING_WORLD,
        Argument("hand", "right", "which hand the keys move: left or right"),
        *_PAGE[1:],
        _RECORDER[1],
    ),
    "record": (
        *(argument for argument in _POLICY_ARGUMENTS if argument.name in _OF_RECORDER),
        _ROBOT_TIME,
        _RECORDER[1],
    ),
}


def graph(kind: str, **chosen: Value) -> tuple[NodeSpec, ...]:
    """Returns the nodes of the graph `kind` (`sim`, `humanoid`, `teleoperate` or `record`), with `chosen` instead of the defaults.

    Values may be text, as launch hands them over. Putting the nodes into `namespace` is the starter's business.

    Raises:
        DialError: unknown graph, argument, robot or camera, a value that is not of the argument's type, a `params_file` without
            parameters or with one that would have no effect, or demonstrations by hand on a scene of the evaluation.
    """
    values = resolve_arguments(kind, chosen)
    own_file = Path(str(values["params_file"])).expanduser().absolute() if values["params_file"] else None
    own = read_own_parameters(own_file, str(values["namespace"]))
    enclaves = str(values.get("enclaves", "")).rstrip("/")
    nodes = _nodes(kind, values, own)
    own.require_effect({node.name: node.parameters for node in nodes})
    return tuple(
        replace(node, parameters=own.of(node.name) | node.parameters, enclave=f"{enclaves}/{node.name}" if enclaves else "")
        for node in nodes
    )


def _nodes(kind: str, values: dict[str, Value], own: OwnParameters) -> tuple[NodeSpec, ...]:
    embodiment = load_embodiment(str(values["robot"]))
    if kind == "record":
        return (_recorder(values, embodiment, _robot_topics(embodiment, cameras=str(values["cameras"]))),)
    remappings = _robot_topics(embodiment, str(values["camera"]), str(values["cameras"]))
    if kind != "humanoid" and values["namespace"]:
        remappings["/clock"] = "clock"  # each simulated robot makes a clock: two of them in one network need two
    everywhere = {name: values[name] for name in ("use_sim_time", "autostart", "camera")} | {"embodiment": values["robot"]}
    trajectories = _trajectory_topics(embodiment, str(values["controllers"]), bool(values["dry_run"]))
    if kind == "teleoperate":
        require_training_seed(int(values["seed"]))
        moved = {name: values[name] for name in ("use_sim_time", "autostart", "hand")} | {"embodiment": values["robot"]}
        hand = _node("teleoperation", moved, remappings | trajectories)
        beside = replace(_recorder(values, embodiment, remappings), required=False)
        return (_world(values, everywhere, remappings), hand, _page(values, "", remappings | trajectories), beside)
    checkpoint = checkpoint_folder(str(values["checkpoint"]) or DEFAULT_CHECKPOINT)
    policy = everywhere | {"checkpoint": str(checkpoint), "device": values["device"], "runtime": values["runtime"]}
    foresight_image = {"foresight_image": True} if values["page"] else {}
    commanded = {topic: f"guarded/{topic}" for topic in _executed(embodiment, trajectories)}
    to_controllers = trajectories | commanded if values["guard"] else trajectories
    lead: dict[str, Value] = {"splice_lead": _guarded_lead_s(own)} if values["guard"] else {}
    nodes = [_node("system2", policy | foresight_image, remappings), _node("system1", policy | lead, remappings | to_controllers)]
    if values["guard"]:
        checked = {name: value for name, value in everywhere.items() if name != "camera"}
        unused = {
            topic: f"{ASIDE}guard/{topic}" for topic in trajectories if topic not in commanded and topic.endswith("/joint_trajectory")
        }
        nodes.insert(0, _node("guard", checked, remappings | trajectories | unused))
    if kind == "sim":
        nodes.insert(0, _world(values, everywhere, remappings))
    if values["page"]:
        nodes.append(_page(values, str(checkpoint), remappings | trajectories))
    if values["record"]:
        nodes.append(replace(_recorder(values, embodiment, remappings), required=False))
    return tuple(nodes)


def resolve_arguments(kind: str, chosen: dict[str, Value]) -> dict[str, Value]:
    """Returns every argument of the graph `kind` with its value, typed like its default. Raises DialError."""
    if kind not in ARGUMENTS:
        raise DialError(f"no graph '{kind}'; graphs: {', '.join(ARGUMENTS)}")
    known = {argument.name: argument for argument in ARGUMENTS[kind]}
    if unknown := sorted(set(chosen) - set(known)):
        raise DialError(f"graph '{kind}' has no argument {', '.join(unknown)}; arguments: {', '.join(known)}")
    return {name: _typed(argument, chosen.get(name, argument.default)) for name, argument in known.items()}


def environment(kind: str) -> dict[str, str]:
    """Returns the environment variables that a graph's processes need; what the user has set takes precedence."""
    variables = _transport_profile() | {
        END_WITH_PARENT: "1",
        "OMP_NUM_THREADS": "1",  # two nodes share the cores: torch's threads would only wait for each other
    }
    if kind in ("sim", "teleoperate"):
        variables |= {
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",  # a simulated robot must not answer to someone else's network
            "MUJOCO_GL": "egl",
        }
    return variables


def _transport_profile() -> dict[str, str]:
    """The Fast DDS profile by the names that Fast DDS 2 (Jazzy) and 3 (Kilted on) read it by: images overrun the default shared memory.

    Where the user has set one of them, both name that file.
    """
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    own = [os.environ[name] for name in names if name in os.environ]
    profile = own[0] if own else str(config_root() / "fastdds.xml")
    return {name: os.environ.get(name, profile) for name in names}


def _guarded_lead_s(own: OwnParameters) -> float:
    """System-1's `splice_lead` [s] with a guard: the files' value, or more if the guard's parameters require it."""
    system1, guard = parameters_of("system1", own), parameters_of("guard", own)
    tolerances = Tolerances(period_s=guard["controller_period"], transport_s=guard["transport"])
    return max(float(system1["splice_lead"]), round(tolerances.window_s + WAY_TO_GUARD_S, 6))


def _node(name: str, parameters: dict[str, Value], remappings: dict[str, str]) -> NodeSpec:
    return NodeSpec(name, f"dial_ros.{name}.{name}_node", config_path("nodes", name), parameters, remappings)


def _world(values: dict[str, Value], everywhere: dict[str, Value], remappings: dict[str, str]) -> NodeSpec:
    world = {name: values[name] for name in ("task", "seed", "real_time_factor", "scene_camera")}
    # The robot makes the clock: it must not wait for it.
    return _node("mujoco_robot", everywhere | world | {"use_sim_time": False}, remappings)


def _page(values: dict[str, Value], checkpoint: str, remappings: dict[str, str]) -> NodeSpec:
    shown = {name: values[f"page_{name}"] for name in ("host", "port", "token", "read_only")}
    shown |= {"camera": values["camera"], "embodiment": values["robot"], "checkpoint": checkpoint}
    # The robot must not depend on a page: it may die unnoticed.
    # On wall time: an acknowledgement that is missing must be noticed while a simulation stands still.
    return replace(_node("operator", shown | {"use_sim_time": False}, remappings), required=False)


def _recorder(values: dict[str, Value], embodiment: Embodiment, remappings: dict[str, str]) -> NodeSpec:
    own = {name: values[name] for name in ("use_sim_time", "autostart", "directory")} | {"embodiment": values["robot"]}
    commands = _trajectory_topics(embodiment, str(values["controllers"]), bool(values["dry_run"]))
    return replace(_node("recorder", own, remappings | commands), grace_s=RECORDER_GRACE_S)


def _robot_topics(embodiment: Embodiment, camera: str | None = None, cameras: str = "") -> dict[str, str]:
    """Remappings from the interface's topic names to the robot's, only where they differ; `camera`, if given, must be the robot's."""
    if camera is not None:
        embodiment.camera(camera)
    renamed = _pairs("cameras", cameras, [c.name for c in embodiment.cameras])
    topics = {f"image/{c.name}": renamed.get(c.name, c.topic) for c in embodiment.cameras}
    topics |= {f"{ours}/compressed": f"{theirs}/compressed" for ours, theirs in topics.items()}  # image_transport's convention
    topics |= embodiment.joint_states_topics
    return {ours: theirs for ours, theirs in topics.items() if ours != theirs}


def _trajectory_topics(embodiment: Embodiment, renamed: str, dry_run: bool) -> dict[str, str]:
    """Remappings of trajectories and of the controllers' reports to the robot's controllers by name; both to dry_run/, if asked.

    A controller that gets no trajectory in a dry run reports to stand still: System-1 would count every motion as lost.
    """
    ours = [controller.name for controller in embodiment.controllers]
    theirs = {name: name for name in ours} | _pairs("controllers", renamed, ours)
    if dry_run:  # an absolute name too goes below dry_run/, in the robot's own namespace
        theirs = {name: ASIDE + other.lstrip("/") for name, other in theirs.items()}
    topics = {f"{name}/{kind}": f"{other}/{kind}" for name, other in theirs.items() for kind in ("joint_trajectory", "controller_state")}
    topics |= {f"{name}/reference": f"{other}/reference" for name, other in theirs.items() if is_aside(other)}
    return {topic: other for topic, other in topics.items() if topic != other}


def _executed(embodiment: Embodiment, trajectories: dict[str, str]) -> list[str]:
    """The trajectory topics that reach controllers. The guard gets no others: joints that do not follow would make it stop."""
    topics = [f"{controller.name}/joint_trajectory" for controller in embodiment.controllers]
    return [topic for topic in topics if not is_aside(trajectories.get(topic, topic))]


def _pairs(argument: str, text: str, ours: list[str]) -> dict[str, str]:
    """`OURS=THEIRS, ...` as a mapping. Raises DialError for a name that is none of `ours`, or half a pair."""
    split = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    pairs = {name.strip(): other.strip() for name, _, other in split}
    if wrong := [name for name, other in pairs.items() if name not in ours or not other]:
        raise DialError(f"argument {argument}: '{', '.join(wrong)}' wants OURS=THEIRS with OURS of: {', '.join(ours)}")
    return pairs


def _typed(argument: Argument, value: Value) -> Value:
    wanted = type(argument.default)
    if wanted is bool and isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise DialError(f"argument {argument.name}: '{value}' is neither true nor false")
        return value.lower() == "true"
    try:
        return wanted(value)
    except ValueError as error:
        raise DialError(f"argument {argument.name}: '{value}' is not of type {wanted.__name__}") from error
