"""The guard: a node between System-1 and the controllers that checks every trajectory, and passes it on or stops the robot."""
