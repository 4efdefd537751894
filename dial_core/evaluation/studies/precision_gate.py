"""The gate of quantised programs: they are used only after a paired evaluation against the model (`dial export --precision int8`)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.evaluate import evaluate, prepare
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.reports.compare import compare
from dial_core.files.atomic import atomic_write, write_json, write_text
from dial_core.inference.export import export_system
from dial_core.inference.program_parity import ProgramParity, RecordedObservation
from dial_core.inference.programs import Runtime, programs_folder

QUANTISED: Runtime = "int8"


@dataclass(frozen=True)
class GateVerdict:
    """A quantised pair of programs against the model, on the same scenes.

    Attributes:
        scenes: number of scenes that both ran.
        eager, quantised: scenes in which each succeeded.
        only_eager, only_quantised: scenes in which one succeeded and the other did not.
        interval: 95 % of the difference in success rate, quantised minus eager.
        foresight_cosine: smallest cosine similarity of a foresight with the model's.
        chunk_error: root mean square error of chunks, over their standard deviation.
        forced: whether a loss was accepted with `--force`.
    """

    scenes: int
    eager: int
    quantised: int
    only_eager: int
    only_quantised: int
    interval: tuple[float, float]
    foresight_cosine: float
    chunk_error: float
    forced: bool = False

    @property
    def loses(self) -> bool:
        """Whether success fell by more than chance explains: the whole interval lies below zero."""
        return self.interval[1] < 0


def judge(eager: dict, quantised: dict, foresight: ProgramParity, chunk: ProgramParity) -> GateVerdict:
    """The verdict on two summaries of the same scenes and the parity of both programs."""
    row = compare(eager, quantised)["all"]
    scenes = row["both"] + row["only_first"] + row["only_second"] + row["neither"]
    successes = row["both"] + row["only_first"], row["both"] + row["only_second"]
    low, high = row["interval"]
    return GateVerdict(scenes, *successes, row["only_first"], row["only_second"], (low, high), foresight.cosine, round(chunk.rms_error, 5))


def export_quantised(
    checkpoint: Checkpoint,
    observations: Sequence[RecordedObservation],
    protocol: Protocol,
    out: Path,
    force: bool = False,
    workers: int = 1,
) -> GateVerdict:
    """Exports both systems in int8, evaluates them, and only then moves them to the programs that sessions find.

    Args:
        checkpoint: read from a folder, which the evaluation opens again.
        observations: on which programs and model are compared.
        protocol: scenes and timing; the runtime is chosen here.
        out: folder of the candidates and of both evaluations; the same call resumes there.
        force: accept a loss.
        workers: processes of the evaluation.

    Raises:
        DialError: success fell by more than chance explains, and `force` was not given.
    """
    source = PolicySource.parse(str(checkpoint.folder))
    with _programs_in(out / "candidates"):
        made = {
            system: export_system(checkpoint, system, QUANTISED, observations, protocol.flow_steps, protocol.noise_seed)
            for system in (1, 2)
        }
        eager, quantised = (
            evaluate(prepare(protocol.model_copy(update={"runtime": runtime}), source), source, out / runtime, workers)
            for runtime in ("eager", QUANTISED)
        )
    verdict = judge(eager, quantised, foresight=made[2][1], chunk=made[1][1])
    if verdict.loses and not force:
        write_text(out / "README.md", gate_page(verdict, protocol))
        raise DialError(
            f"int8 succeeded in {verdict.quantised} of {verdict.scenes} scenes, eager in {verdict.eager}: a loss beyond chance "
            f"({_points(verdict)}), so the programs were not kept; --force keeps them"
        )
    verdict = GateVerdict(**{**asdict(verdict), "forced": verdict.loses})
    folder = programs_folder() / checkpoint.contract.model_id
    for candidate, _ in made.values():
        _publish(candidate, folder, verdict)
    write_text(folder / "README.md", gate_page(verdict, protocol))
    return verdict


def _publish(candidate: Path, folder: Path, verdict: GateVerdict) -> None:
    """Copies a program with its interface, and the weights of a large graph; its card comes last, as no program is used without one."""
    weights = sorted(candidate.parent.glob(f"{candidate.name}.*"))
    for file in (*weights, candidate, candidate.with_suffix(".yaml")):
        with atomic_write(folder / file.name) as partial:
            shutil.copyfile(file, partial)
    card = candidate.with_suffix(".json")
    write_json(folder / card.name, json.loads(card.read_text()) | {"gate": asdict(verdict)})


def gate_page(verdict: GateVerdict, protocol: Protocol) -> str:
    """The card of the folder, in Markdown."""
    outcome = "refused" if verdict.loses and not verdict.forced else "kept with --force, despite the loss" if verdict.forced else "passed"
    return "\n".join(
        [
            "# Programs in int8",
            "",
            f"Gate: {outcome}. {verdict.scenes} scenes of {', '.join(protocol.tasks)}, the same for both.",
            "",
            "| | eager | int8 |",
            "|---|---|---|",
            f"| success | {verdict.eager}/{verdict.scenes} | {verdict.quantised}/{verdict.scenes} |",
            f"| succeeded alone in | {verdict.only_eager} | {verdict.only_quantised} |",
            f"| difference | | {_points(verdict)} |",
            f"| smallest cosine of a foresight with eager's | | {verdict.foresight_cosine:.5f} |",
            f"| rms error of a chunk, of its standard deviation | | {verdict.chunk_error:.4f} |",
            "",
        ]
    )


def _points(verdict: GateVerdict) -> str:
    low, high = (100 * side for side in verdict.interval)
    return f"{100 * (verdict.quantised - verdict.eager) / verdict.scenes:+.1f} points, 95 % {low:+.1f} to {high:+.1f}"


@contextmanager
def _programs_in(folder: Path) -> Iterator[None]:
    """Lets this process and its workers find programs in `folder` only."""
    before = os.environ.get("DIAL_PROGRAMS")
    os.environ["DIAL_PROGRAMS"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DIAL_PROGRAMS"]
        else:
            os.environ["DIAL_PROGRAMS"] = before
