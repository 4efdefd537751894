"""DIAL: latent visual foresight (System-2) turned into action chunks (System-1). Knows nothing of ROS."""

__version__ = "0.1.0"
