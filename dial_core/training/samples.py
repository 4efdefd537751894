"""Training samples of DIAL from cached image tokens: what System-2 saw, what System-1 sees, and the goal between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dial_core.data.lerobot import LeRobotDataset
from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter


@dataclass(frozen=True)
class Augmentation:
    """What a sample adds to the recorded frames.

    Attributes:
        chunks_per_foresight: as at run time, one foresight serves several chunks; it also costs the most to compute.
        max_foresight_age_steps: their frames are up to this many control steps newer than System-2's.
        state_noise: spread of the noise on the normalised state, against leaning on it alone.
    """

    chunks_per_foresight: int
    max_foresight_age_steps: int
    state_noise: float


@dataclass(frozen=True)
class Recording:
    """One dataset in arrays. Rows are frames: tokens float16 (F, N, d), states and actions float32 (F, 47) physical;
    `first`, `last` (F,) are the rows of the frame's episode's ends, `task` (F,) the index in `instructions`."""

    tokens: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    first: np.ndarray
    last: np.ndarray
    task: np.ndarray
    instructions: list[str]


def recording_of(dataset: LeRobotDataset, tokens: np.ndarray) -> Recording:
    """The dataset's arrays beside its image tokens."""
    lengths = [span.length for span in dataset.episodes]
    first = np.repeat([span.first for span in dataset.episodes], lengths)
    last = np.repeat([span.first + span.length - 1 for span in dataset.episodes], lengths)
    task = np.repeat([span.task_index for span in dataset.episodes], lengths)
    return Recording(tokens, dataset.states, dataset.actions, first, last, task, dataset.instructions)


class ChunkSamples(Dataset):
    """Item t: the columns of `DialModel.forward` for a foresight made at frame t and the chunks that it serves.

    Batches are gathered at once (`__getitems__`), so that loading costs a few memory copies. A chunk that reaches past
    the episode repeats its last action: the robot holds. A goal past the end is the last frame (model.md, "System-2").
    """

    def __init__(
        self,
        recording: Recording,
        normaliser: Normaliser,
        prompter: Prompter,
        stage: str,
        horizon: int,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.recording, self.stage, self.horizon, self.augmentation = recording, stage, horizon, augmentation
        self.states = normaliser.encode_state(recording.states)
        self.actions = normaliser.encode_action(recording.actions)
        self.input_ids, self.attention_mask = prompter.encode(recording.instructions)
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.states)

    def __getitems__(self, rows: list[int]) -> dict[str, Tensor | str]:
        data, seen = self.recording, np.asarray(rows)
        shape = (len(seen), self.augmentation.chunks_per_foresight)
        age = self.rng.integers(0, self.augmentation.max_foresight_age_steps + 1, shape)
        now = np.minimum(seen[:, None] + age, data.last[seen][:, None]).reshape(-1)
        goal = np.minimum(seen + self.horizon, data.last[seen])
        chunk = np.minimum(now[:, None] + np.arange(self.horizon), data.last[now][:, None])
        state = self.states[now]
        state = state + self.augmentation.state_noise * self.rng.standard_normal(state.shape, np.float32)
        return {
            "stage": self.stage,
            "image_tokens": self._tokens(seen),
            "goal_tokens": self._tokens(goal),
            "system1_image_tokens": self._tokens(now),
            "input_ids": self.input_ids[data.task[seen]],
            "attention_mask": self.attention_mask[data.task[seen]],
            "state": torch.from_numpy(state.astype(np.float32)),
            "action": torch.from_numpy(self.actions[chunk].astype(np.float32)),
            "action_mask": torch.ones(1),
        }

    def _tokens(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.recording.tokens[rows].astype(np.float32))


def already_a_batch(batch: dict[str, Tensor | str]) -> dict[str, Tensor | str]:
    """`ChunkSamples` gathers whole batches; there is nothing left to collate."""
    return batch
