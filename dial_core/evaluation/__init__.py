"""Closed-loop evaluation in simulation without ROS, and the reports it leaves."""
