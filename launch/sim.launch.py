"""The whole robot in simulation: system2, system1 and mujoco_robot.

ros2 launch dial_ros sim.launch.py                      (arguments: add --show-args)
"""

from dial_ros.bringup.launching import describe


def generate_launch_description():
    """What `ros2 launch` starts."""
    return describe("sim")
