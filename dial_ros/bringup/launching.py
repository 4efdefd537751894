"""Makes launch descriptions of the graphs in graph.py. Imported by launch/*.launch.py only: launch and launch_ros come with apt ROS."""

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from dial_core.config import config_root
from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup import gazebo
from dial_ros.bringup.graph import ARGUMENTS, NodeSpec, environment, graph

SAFETY = ("dry_run", "guard")  # arguments that keep a robot from moving
GUARDS = ("guards", "guarded")  # words near to one of them that a parent may well have of its own


def describe(kind: str, beside: Iterable[str] = (), **defaults):
    """Returns the `launch.LaunchDescription` of the graph `kind`: its arguments with descriptions, and its nodes.

    The file may be included: environment and end are those of its own nodes alone. `defaults` stand in place of the arguments' own,
    `beside` are arguments that the file declares besides.
    """
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.substitutions import LaunchConfiguration

    def start_nodes(context):
        require_known([*(a.name for a in ARGUMENTS[kind]), *beside], context.argv, context.launch_configurations, is_launched(kind))
        chosen = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS[kind]}
        return _launch_nodes(graph(kind, **chosen), chosen["namespace"], _unset(environment(kind)), is_launched(kind))

    arguments = [
        DeclareLaunchArgument(a.name, default_value=_text(defaults.get(a.name, a.default)), description=a.description)
        for a in ARGUMENTS[kind]
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_nodes)])


def is_launched(kind: str) -> bool:
    """Whether this process is a `ros2 launch` of the graph's own file, and not of one that includes it, which may have the same name."""
    files = (f"{kind}.launch.py", "gazebo.launch.py") if kind == "humanoid" else (f"{kind}.launch.py",)
    ours = [(config_root().parent / "launch" / file).resolve() for file in files]
    by_package = any(pair in [("dial_ros", file) for file in files] for pair in pairwise(sys.argv))
    return by_package or any(Path(word).resolve() in ours for word in sys.argv)


def require_known(ours: Sequence[str], typed: Iterable[str], configured: Iterable[str], launched: bool) -> None:
    """Checks that no argument is misspelt: `ros2 launch` ignores one that no file declares, and a robot meant for a dry run would move.

    Args:
        ours: names that the file declares.
        typed: words behind `ros2 launch`, as `dry_run:=true`.
        configured: names that are set where the file is included. A parent's own are among them, and those of other files of ours, so
            that only what looks like a misspelt `dry_run` or `guard` is refused there.
        launched: whether the file is launched itself.

    Raises:
        DialError: one is; the message names what was meant.
    """
    if launched:
        names = [word.partition(":=")[0] for word in typed if ":=" in word]
        wrong = {name: get_close_matches(name, ours, n=1, cutoff=0.5) for name in names if name not in ours}
    else:
        meant = {name: _safety_meant_by(name) for name in configured if name not in (*ours, *SAFETY)}
        wrong = {name: [argument] for name, argument in meant.items() if argument in ours}
    if wrong:
        said = ", ".join(f"'{name}'{f' (did you mean {close[0]}?)' if close else ''}" for name, close in wrong.items())
        raise DialError(f"no such argument: {said}. Nothing was started. Arguments: {', '.join(ours)}")


def _safety_meant_by(name: str) -> str:
    """Which of `SAFETY` a name looks like that is none of them; empty: none."""
    plain = name.lower().replace("-", "_")
    if "dry_run" in plain or "dryrun" in plain:
        return "dry_run"
    return "".join(get_close_matches(plain, SAFETY, n=1, cutoff=0.8)) if plain not in GUARDS else ""


def describe_gazebo():
    """Returns the launch description of the `humanoid` graph in Gazebo: its arguments, with simulated time, and `headless`."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
    from launch_ros.actions import Node
    from launch_ros.substitutions import FindPackageShare

    def start(context):
        robot = load_embodiment(LaunchConfiguration("robot").perform(context))
        headless = LaunchConfiguration("headless").perform(context).lower() == "true"
        file = Path(tempfile.mkdtemp(prefix="dial_gazebo_")) / "controllers.yaml"
        file.write_text(gazebo.controllers(robot))
        source = PathJoinSubstitution([FindPackageShare("ros_gz_sim"), "launch", "gz_sim.launch.py"])
        arguments = [("gz_args", gazebo.gz_arguments(headless))]
        simulator = IncludeLaunchDescription(PythonLaunchDescriptionSource(source), launch_arguments=arguments)
        beside = [
            Node(
                package=process.package,
                executable=process.executable,
                arguments=list(process.arguments),
                parameters=[process.parameters] if process.parameters else [],
                additional_env=_unset(environment("humanoid")),
                output="screen",
            )
            for process in gazebo.processes(robot, gazebo.description(robot, file))
        ]
        return [simulator, *beside]

    def require(context):
        if missing := [package for package in gazebo.PACKAGES if not _installed(package)]:
            names = " ".join(f"ros-$ROS_DISTRO-{package.replace('_', '-')}" for package in missing)
            raise DialError(f"not installed, so nothing is started: {', '.join(missing)}; apt install {names}")
        return []

    policy = describe("humanoid", beside=("headless",), use_sim_time=True)
    headless = DeclareLaunchArgument("headless", default_value="false", description="render without a window")
    return LaunchDescription([headless, OpaqueFunction(function=require), *policy.entities, OpaqueFunction(function=start)])


def _installed(package: str) -> bool:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def _unset(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that the user has not set otherwise."""
    return {name: value for name, value in variables.items() if name not in os.environ}


def _launch_nodes(nodes: Iterable[NodeSpec], namespace: str, variables: dict[str, str], launched: bool) -> list:
    """The nodes as launch actions. When a required one ends before its time the others are stopped, and nothing else is."""
    from launch.actions import EmitEvent, LogInfo
    from launch.events.process import ShutdownProcess
    from launch_ros.actions import Node

    started: list[Node] = []
    ended_first: list[str] = []

    def ended(name: str):
        def stop_all(event, context):
            if context.is_shutdown or ended_first:
                return None
            ended_first.append(name)
            why = f"required node {name} ended with status {event.returncode}: stopping the others; its lines above say why"
            if launched:  # an exception makes launch stop all that it started, and exit with status 1
                raise DialError(why)
            stop = EmitEvent(event=ShutdownProcess(process_matcher=lambda action: action in started))
            return [LogInfo(msg=f"dial_ros: {why}"), stop]

        return stop_all

    started += [
        Node(
            package="dial_ros",
            executable=node.executable,
            name=node.name,
            namespace=namespace,
            parameters=[*([str(node.parameter_file)] if node.parameter_file else []), node.parameters],
            ros_arguments=["--enclave", node.enclave] if node.enclave else [],
            remappings=list(node.remappings.items()),
            additional_env=variables,
            output="screen",
            emulate_tty=True,
            sigterm_timeout=str(node.grace_s),
            on_exit=ended(node.name) if node.required else None,
        )
        for node in nodes
    ]
    return list(started)


def _text(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
