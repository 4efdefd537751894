"""Programs around the nodes: demo, evaluation, recording and replay over ROS."""
