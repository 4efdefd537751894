"""The recorder beside a running robot or simulation: episodes as rosbag2 folders, by service.

ros2 launch dial_ros record.launch.py directory:=~/recordings        (arguments: add --show-args)
ros2 service call /recorder/start_episode dial_ros/srv/StartEpisode "{instruction: 'put the can on the plate'}"
"""

from dial_ros.bringup.launching import describe


def generate_launch_description():
    """What `ros2 launch` starts."""
    return describe("record")
