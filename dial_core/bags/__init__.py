"""Rosbag2 folders on disk (MCAP): written so that a killed recorder loses less than a second, read also when unfinished."""
