"""Serializes trajectories to CDR without trailing bytes.

rclpy's `serialize_message` returns the buffer that was reserved: 8 bytes too many for each point with empty accelerations and efforts,
filled with whatever the memory held. ROS 2 ignores them, readers of recordings (rosbags, mcap) refuse the message.
"""

from rclpy.serialization import serialize_message
from trajectory_msgs.msg import JointTrajectory

_ENCAPSULATION = 4  # bytes before the message, from whose end alignment counts


def trajectory_bytes(trajectory: JointTrajectory) -> bytes:
    """Returns the message in XCDR1, without padding after its last field."""
    return serialize_message(trajectory)[: _ENCAPSULATION + _size(trajectory)]


def _size(trajectory: JointTrajectory) -> int:
    end = _after_string(8, trajectory.header.frame_id)  # after the stamp
    end = _aligned(end, 4) + 4
    for name in trajectory.joint_names:
        end = _after_string(end, name)
    end = _aligned(end, 4) + 4
    for point in trajectory.points:
        for values in (point.positions, point.velocities, point.accelerations, point.effort):
            end = _aligned(end, 4) + 4
            if len(values):
                end = _aligned(end, 8) + 8 * len(values)
        end = _aligned(end, 4) + 8  # the duration
    return end


def _after_string(start: int, text: str) -> int:
    return _aligned(start, 4) + 4 + len(text.encode()) + 1


def _aligned(offset: int, to: int) -> int:
    return -(-offset // to) * to
