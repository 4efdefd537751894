"""Node `mujoco_robot`: the simulated robot with its trajectory controllers."""
