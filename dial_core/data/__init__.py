"""Demonstrations and views: made from seeds, kept as LeRobot datasets and feature caches."""
