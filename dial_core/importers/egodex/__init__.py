"""EgoDex recordings of people into LeRobot v3 datasets."""
