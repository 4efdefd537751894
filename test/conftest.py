"""Before anything imports MuJoCo or torch: render without a screen, and one thread a process, as `make test` has it."""

import os

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
