"""From action chunks to joint motion: splice, limits, arming, and the controller emulation. Pure numpy; no torch, no ROS."""
