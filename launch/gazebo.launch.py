"""The tabletop humanoid in Gazebo with ros2_control, and System-2 and System-1 beside it.

ros2 launch dial_ros gazebo.launch.py headless:=true        (arguments: add --show-args)

Needs ros_gz, gz_ros2_control, ros2_controllers and robot_state_publisher (Jazzy: ros-jazzy-ros-gz, ros-jazzy-gz-ros2-control, ...).
"""

from dial_ros.bringup.launching import describe_gazebo


def generate_launch_description():
    """What `ros2 launch` starts."""
    return describe_gazebo()
