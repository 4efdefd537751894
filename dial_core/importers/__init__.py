"""Other formats into LeRobot v3 datasets: rosbag2, LeRobot v2.0 to v3.0, EgoDex."""
