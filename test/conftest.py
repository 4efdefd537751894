"""Before anything imports MuJoCo or torch: render without a screen, and one thread a process, as `make test` has it."""

import os

from hypothesis import settings

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test compiles in the background, or computes with what an earlier run has compiled.
os.environ["DIAL_COMPILE"] = "0"
os.environ["DIAL_PROGRAMS"] = "/nonexistent/dial/programs"
# Property tests play the same examples in every run; `make nightly` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
