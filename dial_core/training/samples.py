"""Training samples of DIAL, by number: what System-2 saw, what System-1 sees, and the goal between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from dial_core.model.configuration import Architecture
from dial_core.model.flow_matching import draw_tau
from dial_core.model.prompt import Prompter
from dial_core.model.training_batch import OptionalColumns, TrainingBatch, TrainingSample
from dial_core.training.mixture import Mixture, draw_stream
from dial_core.training.streams import Stream


@dataclass(frozen=True)
class Variety:
    """What a sample adds to the recorded frames.

    Attributes:
        chunks_per_foresight: as at run time, one foresight serves several chunks; it also costs the most to compute.
        max_foresight_age_steps: their frames are up to this many control steps newer than System-2's.
        state_noise: spread of the noise on the normalised state, against leaning on it alone.
    """

    chunks_per_foresight: int = 1
    max_foresight_age_steps: int = 0
    state_noise: float = 0.0


class ChunkSamples:
    """`samples[k]` is number k of a run: a foresight made at one frame and the R chunks that it serves.

    A pure function of the seed and k, flow noise and tau included. A chunk that reaches past the episode repeats its last
    action: the robot holds. A goal past the end is the last frame (model.md, "System-2").
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        weights: Mapping[str, float],
        prompter: Prompter,
        stage: str,
        arch: Architecture,
        variety: Variety,
        seed: int,
    ) -> None:
        self.streams, self.stage, self.arch, self.variety, self.seed = streams, stage, arch, variety, seed
        self.mixture = Mixture({stream.name: len(stream) for stream in streams}, weights, seed)
        self.input_ids, self.attention_mask = prompter.encode([text for stream in streams for text in stream.instructions])
        self.first_prompt = np.cumsum([0, *[len(stream.instructions) for stream in streams]])
        self.newer_views = variety.max_foresight_age_steps > 0 or variety.chunks_per_foresight > 1

    def __getitem__(self, number: int) -> TrainingSample:
        source, row = self.mixture.draw(number)
        return self.sample(source, row, draw_stream(self.seed, number))

    def sample(self, source: int, row: int, rng: np.random.Generator) -> TrainingSample:
        """The sample of frame `row` of a stream, with what is random in it from `rng`."""
        stream, variety, horizon = self.streams[source], self.variety, self.arch.horizon
        last = int(stream.last[row])
        age = rng.integers(0, variety.max_foresight_age_steps + 1, variety.chunks_per_foresight)
        now = np.minimum(row + age, last)
        views = stream.views.take(np.array([row, min(row + horizon, last), *(now if self.newer_views else ())]), rng)
        chunk = np.minimum(now[:, None] + np.arange(horizon), last)
        state = stream.states[now]
        state = state + stream.state_mask * np.float32(variety.state_noise) * rng.standard_normal(state.shape, np.float32)
        prompt = self.first_prompt[source] + stream.prompt[row]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            tau = draw_tau(self.arch.flow, len(now))
            noise = torch.randn(*chunk.shape, self.arch.action_dim)
        optional: OptionalColumns = {"noise": noise, "tau": tau}
        if self.newer_views:
            optional["system1_image_tokens"] = views[2:]
        if stream.further_views:
            optional["further_image_tokens"] = torch.stack([views.take(now, rng) for views in stream.further_views], 1)
        return {
            "stage": self.stage,
            "image_tokens": views[0:1],
            "goal_tokens": views[1:2],
            "input_ids": self.input_ids[prompt : prompt + 1],
            "attention_mask": self.attention_mask[prompt : prompt + 1],
            "state": torch.from_numpy(state),
            "action": torch.from_numpy(stream.actions[chunk]),
            "action_mask": torch.from_numpy(stream.action_mask(chunk)),
            "embodiment_id": stream.slot,
            **optional,
        }


def join_samples(samples: Sequence[TrainingSample]) -> TrainingBatch:
    """The batch of some samples, which must have the same columns. One slot for all stays a plain number, which is faster."""
    columns: dict[str, Any] = {
        name: torch.cat([cast("dict", sample)[name] for sample in samples])
        for name, value in samples[0].items()
        if isinstance(value, Tensor)
    }
    slots = [sample["embodiment_id"] for sample in samples]
    slot = slots[0] if len(set(slots)) == 1 else torch.tensor(slots).repeat_interleave(len(samples[0]["state"]))
    return cast("TrainingBatch", columns | {"stage": samples[0]["stage"], "embodiment_id": slot})
