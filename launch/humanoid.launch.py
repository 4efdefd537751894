"""System-2 and System-1 beside a real robot whose driver and ros2_control controllers already run.

ros2 launch dial_ros humanoid.launch.py robot:=/path/to/my_robot.yaml        (arguments: add --show-args)
"""

from dial_ros.bringup.launching import describe


def generate_launch_description():
    """What `ros2 launch` starts."""
    return describe("humanoid")
