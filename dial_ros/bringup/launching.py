"""Makes launch descriptions of the graphs in graph.py. Imported by launch/*.launch.py only: launch and launch_ros come with apt ROS."""

import os
import tempfile
from functools import partial
from pathlib import Path

from dial_core.errors import DialError
from dial_core.robot.embodiment import load_embodiment
from dial_ros.bringup import gazebo
from dial_ros.bringup.graph import ARGUMENTS, NodeSpec, environment, graph


def describe(kind: str, **defaults):
    """Returns the `launch.LaunchDescription` of the graph `kind`: its arguments with descriptions, its environment, its nodes.

    `defaults` stand in place of the arguments' own.
    """
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
    from launch.substitutions import LaunchConfiguration

    def start_nodes(context):
        chosen = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS[kind]}
        return [_launch_node(node, chosen["namespace"]) for node in graph(kind, **chosen)]

    arguments = [
        DeclareLaunchArgument(a.name, default_value=_text(defaults.get(a.name, a.default)), description=a.description)
        for a in ARGUMENTS[kind]
    ]
    variables = [SetEnvironmentVariable(name, value) for name, value in environment(kind).items() if name not in os.environ]
    return LaunchDescription([*arguments, *variables, OpaqueFunction(function=start_nodes)])


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

    policy = describe("humanoid", use_sim_time=True)
    headless = DeclareLaunchArgument("headless", default_value="false", description="render without a window")
    return LaunchDescription([headless, OpaqueFunction(function=require), *policy.entities, OpaqueFunction(function=start)])


def _installed(package: str) -> bool:
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def _launch_node(node: NodeSpec, namespace: str):
    from launch_ros.actions import Node

    return Node(
        package="dial_ros",
        executable=node.executable,
        name=node.name,
        namespace=namespace,
        parameters=[*([str(node.parameter_file)] if node.parameter_file else []), node.parameters],
        ros_arguments=["--enclave", node.enclave] if node.enclave else [],
        remappings=list(node.remappings.items()),
        output="screen",
        emulate_tty=True,
        sigterm_timeout=str(node.grace_s),
        on_exit=partial(_stop_all, node.name) if node.required else None,
    )


def _stop_all(name: str, event, context) -> None:
    """Ends the launch when a required node has ended before its time: an exception makes it stop the others and exit with status 1."""
    if not context.is_shutdown:
        raise DialError(f"required node {name} ended with status {event.returncode}: stopping the others; its lines above say why")


def _text(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
