"""Other people's LeRobot datasets into ours."""
