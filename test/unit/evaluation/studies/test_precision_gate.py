"""The gate of int8 programs, with the exporter and the evaluation replaced.

pytest test/unit/evaluation/studies/test_precision_gate.py
"""

import json
import os

import pytest

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.studies import precision_gate
from dial_core.evaluation.studies.precision_gate import export_quantised, judge
from dial_core.inference.program_parity import ProgramParity
from dial_core.inference.programs import ProgramSpec

SCENES = 40
PARITY = ProgramParity(4, 0.08, 0.02, 0.9998, 20.0, 10.0)


def summary(failed: set[int], protocol: Protocol) -> dict:
    episodes = [{"task": "PlacematToPlate", "seed": 100_000 + k, "success": k not in failed} for k in range(SCENES)]
    return {"protocol": protocol.model_dump(mode="json"), "episodes": episodes}


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Calls the gate with programs that fail in these scenes; eager fails in scenes 0 and 1."""
    monkeypatch.setenv("DIAL_PROGRAMS", str(tmp_path / "programs"))
    make_random_checkpoint(tmp_path / "checkpoint")
    checkpoint = load_checkpoint(tmp_path / "checkpoint")

    def export_system(checkpoint, system, runtime, observations, flow_steps, noise_seed):
        spec = ProgramSpec(system, runtime, checkpoint.contract.model_id)
        spec.file.parent.mkdir(parents=True, exist_ok=True)
        spec.file.write_text("graph")
        spec.file.with_name(f"{spec.file.name}.data").write_text("weights")
        spec.file.with_suffix(".yaml").write_text("interface")
        spec.file.with_suffix(".json").write_text(json.dumps({"facts": spec.facts}))
        return spec.file, PARITY

    def run(failed, force=False):
        def evaluate(protocol, source, out, workers):
            assert os.environ["DIAL_PROGRAMS"] == str(tmp_path / "out" / "candidates")
            return summary(failed if protocol.runtime == "int8" else {0, 1}, protocol)

        monkeypatch.setattr(precision_gate, "export_system", export_system)
        monkeypatch.setattr(precision_gate, "prepare", lambda protocol, source: protocol)  # it opens the programs
        monkeypatch.setattr(precision_gate, "evaluate", evaluate)
        return export_quantised(checkpoint, [], Protocol(episodes=SCENES), tmp_path / "out", force)

    run.folder = tmp_path / "programs" / checkpoint.contract.model_id
    run.out = tmp_path / "out"
    return run


def test_programs_as_good_as_the_model_are_kept_with_the_figures_on_their_card(gate):
    verdict = gate({0, 2})
    assert (verdict.eager, verdict.quantised, verdict.only_eager, verdict.only_quantised) == (38, 38, 1, 1)
    names = {"system1-int8-flow0-noise0-slot0.onnx", "system2-int8.onnx"}
    assert names <= {path.name for path in gate.folder.iterdir()}
    assert (gate.folder / "system2-int8.yaml").read_text() == "interface"
    assert (gate.folder / "system2-int8.onnx.data").read_text() == "weights"
    assert json.loads((gate.folder / "system2-int8.json").read_text())["gate"]["quantised"] == 38
    page = (gate.folder / "README.md").read_text()
    for expected in ("Gate: passed. 40 scenes", "| success | 38/40 | 38/40 |", "0.99980", "| 0.0200 |"):
        assert expected in page


def test_a_loss_beyond_chance_is_refused_and_nothing_is_kept(gate):
    with pytest.raises(DialError, match=r"int8 succeeded in 25 of 40 scenes, eager in 38: a loss beyond chance .*--force keeps them"):
        gate({0, 1, *range(10, 23)})
    assert not gate.folder.exists()
    assert "Gate: refused" in (gate.out / "README.md").read_text()


def test_a_forced_loss_is_kept_and_reported(gate):
    assert gate({0, 1, *range(10, 23)}, force=True).forced
    assert "kept with --force, despite the loss" in (gate.folder / "README.md").read_text()


def test_a_small_loss_is_no_loss():
    protocol = Protocol(episodes=SCENES)
    assert not judge(summary({0}, protocol), summary({0, 1, 2}, protocol), PARITY, PARITY).loses
