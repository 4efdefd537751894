"""What runs on the robot: sessions, stitching, guard. Knows nothing of ROS."""
