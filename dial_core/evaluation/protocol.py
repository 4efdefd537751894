"""How an evaluation is run, and its hash: two results compare only if their protocols agree."""

from __future__ import annotations

import hashlib
import math
from typing import Literal

from pydantic import Field

from dial_core.config import Config
from dial_core.runtime.overlap import Strategy
from dial_core.sim.task import EVALUATION_SEEDS_FROM


class Protocol(Config):
    """One evaluation. The defaults are the timing of the ROS loop: chunks at 6.7 Hz, foresights at 4 Hz, 50 ms late.

    Attributes:
        policy: `checkpoint` or `expert`.
        model_id: hash of the checkpoint's weights and architecture; empty for the expert.
        task: what is asked.
        episodes, seed: scenes `seed` .. `seed + episodes - 1`, never trained on.
        strategy: what is done where chunks overlap; see `runtime.overlap`.
        execute_steps: control steps from one chunk to the next.
        system2_period_steps: control steps between two foresights.
        system2_delay_steps: control steps until a foresight reaches System-1.
        flow_steps: Euler steps of the action decoder.
        noise_seed: of the decoder's fixed initial noise.
        instruct: `scene`: the object that the seed names; `other`: in scenes with two objects, the other one.
        foresight: what System-1 gets; see `probes`.
        camera: which camera the policy sees through.
    """

    policy: Literal["checkpoint", "expert"] = "checkpoint"
    model_id: str = ""
    task: str = "PlacematToPlate"
    episodes: int = Field(default=100, gt=0)
    seed: int = Field(default=EVALUATION_SEEDS_FROM, ge=EVALUATION_SEEDS_FROM)
    strategy: Strategy = "ensemble"
    execute_steps: int = Field(default=3, gt=0)
    system2_period_steps: int = Field(default=5, gt=0)
    system2_delay_steps: int = Field(default=1, ge=0)
    flow_steps: int = Field(default=4, gt=0)
    noise_seed: int = 0
    instruct: Literal["scene", "other"] = "scene"
    foresight: Literal["own", "wrong_instruction", "zeros", "first_frame"] = "own"
    camera: str = "ego"

    @property
    def hash(self) -> str:
        """12 hex digits of all of the above."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % Wilson score interval of a success rate.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n); (0, 1) without trials.
    """
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    spread = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
