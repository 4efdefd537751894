"""Training samples of DIAL by number: the view of System-2, the views, states and chunks of System-1, and the goal view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dial_core.model.configuration import Architecture
from dial_core.model.flow_matching import draw_tau_by
from dial_core.model.prompt import Prompter
from dial_core.model.training_batch import OptionalColumns, TrainingBatch, TrainingSample
from dial_core.training.early_steps import Beginnings, EpisodeBeginnings, beginnings_of
from dial_core.training.mixture import Mixture, draw_stream
from dial_core.training.streams import Stream

_PROMPTS_KEPT = 4096  # encoded instructions: a dataset of people's videos has tens of thousands


@dataclass(frozen=True)
class Variety:
    """Variation that samples have beyond the recorded frames.

    Attributes:
        chunks_per_foresight: as at run time, one foresight serves several chunks; it also costs the most to compute.
        max_foresight_age_steps: their frames are up to this many control steps newer than System-2's.
        state_noise: standard deviation of the noise on the normalised state, so that the policy does not rely on the state alone.
        flow_draws: noise and times drawn for each chunk, which share its condition: a less noisy gradient for little time.
    """

    chunks_per_foresight: int = 1
    max_foresight_age_steps: int = 0
    state_noise: float = 0.0
    flow_draws: int = 1


class ChunkSamples:
    """`samples[k]` is sample number k of a run: a foresight made at one frame and the R chunks that use it.

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
        beginnings: Beginnings | None = None,
    ) -> None:
        self.streams, self.stage, self.arch, self.variety, self.seed = streams, stage, arch, variety, seed
        self.drawn: list[tuple[int, EpisodeBeginnings | None]] = [(index, None) for index in range(len(streams))]
        sizes, shares = {stream.name: len(stream) for stream in streams}, dict(weights)
        if beginnings is not None:
            drawn_from = [stream if shares.get(stream.name) else None for stream in streams]
            for index, part in beginnings_of(drawn_from, beginnings).items():
                name, whole = streams[index].name, shares.get(streams[index].name, 0.0)
                sizes[f"beginnings of {name}"], shares[f"beginnings of {name}"] = len(part), beginnings.share * whole
                shares[name] = whole - beginnings.share * whole
                self.drawn.append((index, part))
        self.mixture = Mixture(sizes, shares, seed)
        self.encoded = lru_cache(_PROMPTS_KEPT)(lambda instruction: prompter.encode([instruction]))
        self.newer_views = variety.max_foresight_age_steps > 0 or variety.chunks_per_foresight > 1

    def __getitem__(self, number: int) -> TrainingSample:
        source, row = self.mixture.draw(number)
        index, part = self.drawn[source]
        return self.sample(index, row if part is None else part.row(row), draw_stream(self.seed, number))

    def sample(self, source: int, row: int, rng: np.random.Generator) -> TrainingSample:
        """The sample of frame `row` of a stream, with what is random in it from `rng`."""
        stream, variety, horizon = self.streams[source], self.variety, self.arch.horizon
        last, instruction = stream.episode(row)
        age = rng.integers(0, variety.max_foresight_age_steps + 1, variety.chunks_per_foresight)
        now = np.minimum(row + age, last)
        views = stream.views.take(np.array([row, min(row + horizon, last), *(now if self.newer_views else ())]), rng)
        chunk = np.minimum(now[:, None] + np.arange(horizon), last)
        state = stream.vectors.state(now)
        state = state + stream.vectors.state_mask * np.float32(variety.state_noise) * rng.standard_normal(state.shape, np.float32)
        input_ids, attention_mask = self.encoded(instruction)
        draws = len(now) * variety.flow_draws
        noise = torch.from_numpy(rng.standard_normal((draws, horizon, self.arch.action_dim), np.float32))
        optional: OptionalColumns = {"noise": noise, "tau": draw_tau_by(rng, self.arch.flow, draws)}
        if self.newer_views:
            optional["system1_image_tokens"] = views[2:]
        if stream.further_views:
            optional["further_image_tokens"] = torch.stack([views.take(now, rng) for views in stream.further_views], 1)
        return {
            "stage": self.stage,
            "image_tokens": views[0:1],
            "goal_tokens": views[1:2],
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "state": torch.from_numpy(state),
            "action": torch.from_numpy(stream.vectors.action(chunk)),
            "action_mask": torch.from_numpy(stream.vectors.action_mask(chunk)),
            "embodiment_id": stream.slot,
            **optional,
        }


def join_samples(samples: Sequence[TrainingSample]) -> TrainingBatch:
    """The batch of some samples, which must have the same columns; prompts are padded to the longest.

    One slot for all stays a plain number, which is faster.
    """
    longest = max(sample["input_ids"].shape[1] for sample in samples)
    samples = [_with_prompt_of(longest, sample) for sample in samples]
    columns: dict[str, Any] = {
        name: torch.cat([cast("dict", sample)[name] for sample in samples])
        for name, value in samples[0].items()
        if isinstance(value, Tensor)
    }
    slots = [sample["embodiment_id"] for sample in samples]
    slot = slots[0] if len(set(slots)) == 1 else torch.tensor(slots).repeat_interleave(len(samples[0]["state"]))
    return cast("TrainingBatch", columns | {"stage": samples[0]["stage"], "embodiment_id": slot})


def _with_prompt_of(length: int, sample: TrainingSample) -> TrainingSample:
    missing = (length - sample["input_ids"].shape[1], 0)
    return {**sample, "input_ids": F.pad(sample["input_ids"], missing), "attention_mask": F.pad(sample["attention_mask"], missing)}
