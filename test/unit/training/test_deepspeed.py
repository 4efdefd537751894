"""DeepSpeed, where it is installed: two processes have the losses of one, in float32; in bfloat16 batches still arrive in float32.

Frozen weights end as they began; the program checks that, the batches, and that DeepSpeed really runs.

pip install deepspeed && pytest test/unit/training/test_deepspeed.py
"""

import numpy as np
import pytest

from dial_core.config import config_root

from .test_processes import LAUNCH, launched

pytest.importorskip("deepspeed")

# Its sizes are filled in and it starts; then gloo aborts a process in `reduce_scatter`. Not seen on NCCL.
ZERO3_ON_GLOO = pytest.param("zero3", marks=pytest.mark.xfail(strict=True, reason="gloo aborts in reduce_scatter"))


def engine(stage: str) -> dict[str, str]:
    configuration = str(config_root() / f"deepspeed/{stage}.json")
    return {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": configuration, "DS_ACCELERATOR": "cpu"}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2", ZERO3_ON_GLOO])
def test_two_processes_have_the_losses_of_one(tmp_path, stage):
    alone, _ = launched(tmp_path / "alone", [])
    rows, _ = launched(tmp_path / stage, LAUNCH, **engine(stage))  # see `main` there
    np.testing.assert_allclose([row["loss"] for row in rows], [row["loss"] for row in alone], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["zero2", ZERO3_ON_GLOO])
def test_bfloat16_weights_get_float32_batches(tmp_path, stage):
    rows, _ = launched(tmp_path / stage, LAUNCH, "bf16", **engine(stage))
    assert np.isfinite([row["loss"] for row in rows]).all()
