"""The scripted expert's episodes as LeRobot v3 datasets, from seeds."""
