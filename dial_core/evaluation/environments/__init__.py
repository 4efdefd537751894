"""What runs in another Python environment: the environment server and the environments it can serve. Nothing here imports dial_core."""
