"""pytest test/unit/benchmarks/test_world_bench.py"""

import json

from dial_core.benchmarks.world_steps import bench_world, json_of


def test_the_parts_of_a_control_step_are_timed_apart_and_add_up():
    rows = bench_world(("PlateToBowl",), steps=20, image_px=64)
    row = json.loads(json_of(rows, 64))["tasks"][0]
    assert (row["task"], row["steps"]) == ("PlateToBowl", 20)
    parts = [row[f"{name}_ms"] for name in ("physics", "image", "observation")]
    assert min(parts) > 0
    assert max(parts) < row["step_ms"] <= row["step_p99_ms"]
    assert rows[0].times_real == 50.0 / row["step_ms"]
