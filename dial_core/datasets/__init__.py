"""LeRobot datasets: written, read, checked, edited and summarised."""
