import json
import stat
import sys
from pathlib import Path

import pytest

from dial_core.benchmarks.data_loading import bench_loading, table_of
from dial_core.benchmarks.peers import race
from dial_core.errors import DialError


def test_decoding_is_timed_with_and_without_worker_processes(fake_dataset, tmp_path):
    folder = fake_dataset(tmp_path / "dataset").folder
    rates = bench_loading(folder, [0, 1], size_px=32, budget_s=0.2)
    assert [rate.workers for rate in rates] == [0, 1]
    assert all(rate.samples_per_s > 0 for rate in rates)
    assert len(table_of(rates, 32, step_s=0.5, batch_size=8).columns) == 3


def test_a_race_without_the_peers_environment_says_how_to_make_it(tmp_path):
    with pytest.raises(DialError, match=r"pip install .lerobot\[groot,pi\]"):
        race("dial_tiny", tmp_path / "python", "cpu", 5)


def fake_interpreter(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_peers_race_beside_both_systems(tmp_path):
    row = json.dumps({"peer": "pi0", "parameters": 3, "median_s": 0.1, "p99_s": 0.2, "calls": 5})
    python = fake_interpreter(
        tmp_path / "python", f"import sys\nassert sys.argv[3:] == ['pi0', 'cpu', '5']\nprint('noise')\nprint('''{row}''')"
    )
    rows = race("dial_tiny", python, "cpu", 5, names=("pi0",))
    assert [row["peer"] for row in rows] == ["dial_tiny, System-2", "dial_tiny, System-1", "dial_tiny, both", "pi0"]
    assert rows[2]["median_s"] == rows[0]["median_s"] + rows[1]["median_s"]


def test_a_peer_that_fails_is_not_left_out(tmp_path):
    python = fake_interpreter(tmp_path / "python", "raise SystemExit('no module named lerobot')")
    with pytest.raises(DialError, match=r"peer pi0 failed .*no module named lerobot"):
        race("dial_tiny", python, "cpu", 5, names=("pi0",))
