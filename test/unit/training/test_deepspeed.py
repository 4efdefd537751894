"""DeepSpeed, where it is installed: two processes with bfloat16 weights have nearly the losses of one in float32.

Frozen weights end as they began, and batches arrive in float32; the program checks both, and that DeepSpeed really runs.

pip install deepspeed && pytest test/unit/training/test_deepspeed.py
"""

import numpy as np
import pytest

from dial_core.config import config_root

from .test_processes import LAUNCH, launched

pytest.importorskip("deepspeed")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_two_processes_have_nearly_the_losses_of_one(tmp_path, stage):
    alone, _ = launched(tmp_path / "alone", [])
    configuration = str(config_root() / f"deepspeed/{stage}.json")
    engine = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": configuration, "DS_ACCELERATOR": "cpu"}
    rows, _ = launched(tmp_path / stage, LAUNCH, "bf16", **engine)  # see `main` there
    np.testing.assert_allclose([row["loss"] for row in rows], [row["loss"] for row in alone], rtol=0.02)
