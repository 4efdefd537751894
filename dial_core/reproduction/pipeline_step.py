"""One step of a plan: a `dial` command, what it needs first, and the fingerprint of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PipelineStep:
    """One `dial` command of a plan.

    Attributes:
        name: `train/flare`; also where its mark and log lie.
        words: the command line after `dial`, without `--workers`, `--processes` and `--ray`.
        needs: names of the steps that must be done first.
        after: those of them for which it only waits, since both write the same files: its result does not rest on theirs.
        basis: 12 hex digits of the fingerprints of all that its result rests on, see `on_their_bases`; empty if that is nothing.
        inputs: values beside the command line that its result depends on (recipes, presets), for the fingerprint.
        core_s: expected seconds of one core.
        parallel: whether the command takes `--workers`, and gets as much faster.
        trains: whether it takes `--processes`, which share every batch.
        product: what the command makes, where it appears whole or not at all; such a step is done if it is there.
        trained_in: folder of a training, where it keeps how it is computed.
        precision: in which a training computes, as its recipe has it.
    """

    name: str
    words: tuple[str, ...]
    needs: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    core_s: float = 0.0
    parallel: bool = False
    trains: bool = False
    product: Path | None = None
    after: tuple[str, ...] = ()
    basis: str = ""
    trained_in: Path | None = None
    precision: str = ""

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Names of the steps whose results go into its own."""
        return tuple(need for need in self.needs if need not in self.after)

    @property
    def kind(self) -> str:
        """First part of the name; the costs of steps of one kind are corrected together."""
        return self.name.partition("/")[0]

    @property
    def spreads(self) -> bool:
        """Whether the command can spread its work over a Ray cluster."""
        return self.words[0] in ("pretrain", "collect", "eval", "probe") or self.words[:2] == ("data", "human")

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the command and its inputs."""
        return _digest([self.words, self.inputs])


def on_their_bases(steps: Iterable[PipelineStep]) -> dict[str, PipelineStep]:
    """The steps by name, each with its `basis`: a result is another one if anything that it rests on is, however far back.

    `steps` are in an order in which needs come first.
    """
    found: dict[str, PipelineStep] = {}
    for step in steps:
        below = [[found[need].fingerprint, found[need].basis] for need in step.rests_on]
        found[step.name] = replace(step, basis=_digest(below)) if below else step
    return found


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]
