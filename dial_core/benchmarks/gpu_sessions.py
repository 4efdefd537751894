"""The sessions' part of `dial bench gpu`: on the device against the CPU, captured against launched, bfloat16 against float32."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from dial_core.benchmarks.random_policy import random_policy
from dial_core.checkpoint.checkpoint import Checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.errors import DialError
from dial_core.inference.cuda_graph import Captured
from dial_core.inference.system1_session import Committed, System1Session
from dial_core.inference.system2_session import System2Session

Facts = dict[str, Any]
Inputs = tuple[np.ndarray, np.ndarray, np.ndarray, str]  # image, foresight, state, instruction
Pair = tuple[System2Session, System1Session]
LARGE = 1_000_000_000  # parameters


class CheckFailedError(DialError):
    """What a check expects does not hold; the message has the figures."""


def sessions(device: torch.device, preset: str) -> Facts:
    """Both sessions of a preset: on the device against the CPU, captured against launched, bfloat16 against float32.

    The weights are random and bfloat16's, as published ones are. All sessions share them, at 3B in float32 some 15 GB, which move
    and change their dtype from one pair of sessions to the next.

    Raises:
        CheckFailedError: a captured call answers changed inputs with anything but the launched call's result, or a device's
            float32 result is further from the CPU's than rounding explains.
    """
    policy, where = random_policy(preset, device, torch.bfloat16), str(device)
    parameters = sum(parameter.numel() for parameter in policy.model.parameters())
    inputs = _inputs(policy.contract)
    with torch.backends.cudnn.flags(allow_tf32=False):  # or convolutions in float32 round as bfloat16 does
        launched = _answers(_both(policy, where, precision="float32", capture=False), inputs)
        captured_sessions = _both(policy, where, precision="float32")
        captured = _answers(captured_sessions, inputs)
    captures = [session_captures(session) for session in captured_sessions]
    half = _answers(_both(policy, where, precision="bfloat16"), inputs)
    with _all_cores(device):
        compared = inputs if parameters < LARGE else inputs[:1]  # a CPU takes many seconds for each
        reference = _answers(_both(policy, "cpu", precision="float32", capture=False), compared)
    facts = {
        "parameters": parameters,
        "float32_vs_cpu_max": _furthest(launched[: len(reference)], reference),
        "captured_vs_launched_max": _furthest(captured, launched),
        "bfloat16_vs_float32_chunk_rms": float(np.sqrt(np.mean([(a[1] - b[1]) ** 2 for a, b in zip(half, launched, strict=True)]))),
        "system2_captures": captures[0],
        "system1_captures": captures[1],
    }
    require_agreement(facts, captured=device.type == "cuda")
    return facts


def _inputs(contract: Contract) -> list[Inputs]:
    """Three observations, the last with a longer instruction: a replay of the first one's memory would show."""
    rng = np.random.default_rng(0)
    return [
        (
            rng.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8),
            rng.standard_normal(contract.foresight_shape).astype(np.float32),
            rng.normal(0, 0.1, contract.state_dim).astype(np.float32),
            words,
        )
        for words in ("pick the can", "pick the can", "put the red can on the plate")
    ]


def _both(policy: Checkpoint, where: str, **options: Any) -> Pair:
    return System2Session(policy, where, **options), System1Session(policy, where, **options)


def _answers(pair: Pair, inputs: list[Inputs]) -> list[tuple[np.ndarray, ...]]:
    """Foresight, chunk, and a chunk that agrees with the first half of that one (real-time chunking), of every input."""
    system2, system1 = pair
    answered: list[tuple[np.ndarray, ...]] = []
    for image, x, q, words in inputs:
        foresight, chunk = system2.foresight(image, words).copy(), system1.chunk(image, x, q).copy()
        weights = (np.arange(len(chunk)) < len(chunk) // 2).astype(np.float32)
        answered.append((foresight, chunk, system1.chunk(image, x, q, Committed(chunk, weights)).copy()))
    return answered


@contextmanager
def _all_cores(device: torch.device) -> Iterator[None]:
    """Context in which torch uses every core of a machine with a GPU; on a CPU checks keep to their threads."""
    before = torch.get_num_threads()
    if device.type == "cuda":
        torch.set_num_threads(os.cpu_count() or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_agreement(facts: Facts, captured: bool) -> None:
    """Checks what `sessions` measured. `captured`: each session must have recorded a graph.

    Raises:
        CheckFailedError: results differ by more than rounding explains, or a session recorded nothing.
    """
    # A captured prompt is padded, so that its kernels add in another order; a stale input differs by 0.1 and more.
    if facts["captured_vs_launched_max"] > 1e-3 or facts["float32_vs_cpu_max"] > 1e-2:
        raise CheckFailedError(f"results differ: {facts}")
    if captured and not (facts["system2_captures"] and facts["system1_captures"]):
        raise CheckFailedError(f"a session captured nothing and launched its kernels one by one: {facts}")


def session_captures(session: System1Session | System2Session) -> int:
    """The least number of graphs that any call of a session has recorded: 0 if one of its calls never was."""
    calls = [session._act, session._see] if isinstance(session, System1Session) else [session._think]
    return min(len(call) if isinstance(call, Captured) else 0 for call in calls)


def _furthest(ours: list[tuple[np.ndarray, ...]], theirs: list[tuple[np.ndarray, ...]]) -> float:
    pairs = zip(itertools.chain(*ours), itertools.chain(*theirs), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)
