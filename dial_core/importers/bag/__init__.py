"""rosbag2 recordings into LeRobot v3 datasets."""
