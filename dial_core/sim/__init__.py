"""The tabletop world: robot, objects, scenes, tasks, scripted expert and the gymnasium environment. No ROS here."""
