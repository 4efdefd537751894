"""A graph of graph.py as a launch description. Imported by launch/*.launch.py only: launch and launch_ros come with apt ROS."""

import os

from dial_ros.graph import ARGUMENTS, NodeSpec, environment, graph


def describe(kind: str):
    """The `launch.LaunchDescription` of the graph `kind`: its arguments with descriptions, its environment, its nodes."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
    from launch.substitutions import LaunchConfiguration

    def start_nodes(context):
        chosen = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS[kind]}
        return [_launch_node(node, chosen["namespace"]) for node in graph(kind, **chosen)]

    arguments = [DeclareLaunchArgument(a.name, default_value=_text(a.default), description=a.description) for a in ARGUMENTS[kind]]
    variables = [SetEnvironmentVariable(name, value) for name, value in environment(kind).items() if name not in os.environ]
    return LaunchDescription([*arguments, *variables, OpaqueFunction(function=start_nodes)])


def _launch_node(node: NodeSpec, namespace: str):
    from launch.actions import Shutdown
    from launch_ros.actions import Node

    return Node(
        package="dial_ros",
        executable=node.executable,
        name=node.name,
        namespace=namespace,
        parameters=[str(node.parameter_file), node.parameters],
        remappings=list(node.remappings.items()),
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown(reason=f"{node.name} ended") if node.required else None,
    )


def _text(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
