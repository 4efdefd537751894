"""The simulated robot moved by keys on the operator page, with the recorder: demonstrations by hand.

ros2 launch dial_ros teleoperate.launch.py              (arguments: add --show-args)
"""

from dial_ros.bringup.launching import describe


def generate_launch_description():
    """What `ros2 launch` starts."""
    return describe("teleoperate")
