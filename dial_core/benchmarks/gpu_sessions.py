"""The sessions' part of `dial bench gpu`: on the device against the CPU, captured against launched, bfloat16 against float32."""

from __future__ import annotations

import itertools
import tempfile
from typing import Any

import numpy as np
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.errors import DialError
from dial_core.inference.cuda_graph import Captured
from dial_core.inference.sessions import Committed, System1Session, System2Session

Facts = dict[str, Any]


class CheckFailedError(DialError):
    """What a check expects does not hold; the message has the figures."""


def sessions(device: torch.device, preset: str) -> Facts:
    """Both sessions of the tiny model: on the device against the CPU, captured against launched, bfloat16 against float32.

    Raises:
        CheckFailedError: a captured call answers changed inputs with anything but the launched call's result, or a device's
            float32 result is further from the CPU's than rounding explains.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        make_random_checkpoint(folder)

        def both(where: str, **options: Any) -> tuple[System2Session, System1Session]:
            checkpoint = load_checkpoint(folder)
            return System2Session(checkpoint, where, **options), System1Session(checkpoint, where, **options)

        contract = load_checkpoint(folder).contract
        inputs = [
            (
                rng.integers(0, 256, (contract.height, contract.width, 3), dtype=np.uint8),
                rng.standard_normal(contract.foresight_shape).astype(np.float32),
                rng.normal(0, 0.1, contract.state_dim).astype(np.float32),
            )
            for _ in range(3)
        ]

        def answers(pair: tuple[System2Session, System1Session]) -> list[tuple[np.ndarray, ...]]:
            """Foresight, chunk, and a chunk that agrees with the first half of that one (real-time chunking), of every input."""
            system2, system1 = pair
            words = ("pick the can", "pick the can", "put the red can on the plate")
            answered: list[tuple[np.ndarray, ...]] = []
            for (image, x, q), said in zip(inputs, words, strict=True):
                foresight, chunk = system2.foresight(image, said).copy(), system1.chunk(image, x, q).copy()
                weights = (np.arange(len(chunk)) < len(chunk) // 2).astype(np.float32)
                answered.append((foresight, chunk, system1.chunk(image, x, q, Committed(chunk, weights)).copy()))
            return answered

        reference = answers(both("cpu", precision="float32", capture=False))
        launched = answers(both(str(device), precision="float32", capture=False))
        captured_sessions = both(str(device), precision="float32")
        captured = answers(captured_sessions)
        half = answers(both(str(device), precision="bfloat16"))
        facts = {
            "float32_vs_cpu_max": _furthest(launched, reference),
            "captured_vs_launched_max": _furthest(captured, launched),
            "bfloat16_vs_float32_chunk_rms": float(np.sqrt(np.mean([(a[1] - b[1]) ** 2 for a, b in zip(half, launched, strict=True)]))),
        }
        captures = [session_captures(session) for session in captured_sessions]
        facts |= {"system2_captures": captures[0], "system1_captures": captures[1]}
    require_agreement(facts, captured=device.type == "cuda")
    return facts


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
