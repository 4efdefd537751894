"""Does the foresight carry the intent? The same scenes with foresights that carry another one, or none."""

from __future__ import annotations

import time
from pathlib import Path

from dial_core.evaluation.policies import require_fitting
from dial_core.evaluation.protocol import Protocol
from dial_core.evaluation.report import summarise
from dial_core.evaluation.rollout import run_episodes
from dial_core.runtime.checkpoint import load_checkpoint

# Name in the table -> what is changed in the protocol.
PROBES: dict[str, dict[str, str]] = {
    "own foresight": {"foresight": "own"},
    "the other object named": {"instruct": "other"},
    "foresight of a wrong instruction": {"foresight": "wrong_instruction"},
    "foresight of zeros": {"foresight": "zeros"},
    "frozen first foresight": {"foresight": "first_frame"},
}


def evaluate(protocol: Protocol, checkpoint: Path | None, workers: int, videos: Path | None = None, count: int = 0) -> dict:
    """Runs a protocol and summarises it; the checkpoint's id becomes part of the protocol.

    Raises:
        DialError: no checkpoint, or one that the protocol does not fit; found before the first episode.
    """
    if checkpoint is not None:
        contract = load_checkpoint(checkpoint).contract
        require_fitting(protocol, contract)
        protocol = protocol.model_copy(update={"model_id": contract.model_id})
    started_s = time.monotonic()
    results = run_episodes(protocol, checkpoint, workers, videos, count)
    return summarise(protocol, results, time.monotonic() - started_s)


def probe(protocol: Protocol, checkpoint: Path, workers: int) -> dict[str, dict]:
    """The summary of every probe, by its name in the table."""
    return {name: evaluate(protocol.model_copy(update=change), checkpoint, workers) for name, change in PROBES.items()}
