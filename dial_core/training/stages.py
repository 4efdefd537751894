"""`dial train`: the two stages of DIAL, one after the other, from one recipe (model.md, "Loss and stages")."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field

from dial_core.config import Config, load_config
from dial_core.data.features import cached_features
from dial_core.data.fingerprint import require_same
from dial_core.data.lerobot import LeRobotDataset
from dial_core.embodiment import Embodiment, load_embodiment
from dial_core.errors import DialError
from dial_core.model.normalise import Normaliser, rotation_dimensions
from dial_core.model.prompt import Prompter
from dial_core.runtime.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dial_core.training.samples import Augmentation, ChunkSamples, already_a_batch, recording_of
from dial_core.training.trainer import Optimisation, run_training


class Stage(Config):
    """One stage: `warmup` (System-1 sees the true goal) or `end_to_end` (System-1 sees the foresight).

    A batch is `optimisation.batch_size` foresights with `chunks_per_foresight` chunks each.
    """

    stage: Literal["warmup", "end_to_end"]
    chunks_per_foresight: int = Field(default=1, gt=0)
    max_foresight_age_steps: int = Field(default=0, ge=0)  # [control steps]
    state_noise: float = Field(default=0.0, ge=0)  # of the normalised state
    optimisation: Optimisation


class Recipe(Config):
    """What `dial train` does with a dataset. `start`: checkpoint folder with the pretrained backbone."""

    embodiment: str
    stages: list[Stage] = Field(min_length=1)


def train(recipe_name: str, start: Path, dataset_folder: Path, out: Path, workers: int, command: str) -> Path:
    """Trains the stages of a recipe from `start` on one dataset and writes `out/checkpoint`; returns that folder.

    Every stage leaves `out/<number>-<stage>/` with its log, loss curve and checkpoint; finished stages are not run again,
    an interrupted one goes on from its newest checkpoint. `command` is told in the model card.

    Raises:
        DialError: a stage in `out` was begun with another recipe, start or dataset, or the dataset is too small.
    """
    recipe = load_config(Recipe, "training", recipe_name)
    robot = load_embodiment(recipe.embodiment)
    dataset = LeRobotDataset(dataset_folder)
    recording = recording_of(dataset, cached_features(start, dataset, workers))
    source = _source(recipe, start, dataset)
    current = start
    for number, stage in enumerate(recipe.stages, 1):
        folder = out / f"{number}-{stage.stage}"
        require_same(folder, {"stage": stage.model_dump(mode="json"), **source})
        if not (folder / "checkpoint").exists():
            checkpoint = load_checkpoint(current)
            normaliser = Normaliser.fit(dataset.states, dataset.actions, rotation_dimensions(robot.state_dim))
            _train_stage(stage, checkpoint, normaliser, recording, folder)
            _save(folder / "checkpoint", checkpoint, normaliser, robot, "")
        current = folder / "checkpoint"
    finished = load_checkpoint(current)
    card = _card(recipe, start, dataset, command)
    _save(out / "checkpoint", finished, finished.normaliser, robot, card, torch.float16)
    return out / "checkpoint"


def _train_stage(stage: Stage, checkpoint: Checkpoint, normaliser: Normaliser, recording, folder: Path) -> None:
    model = checkpoint.model
    model.set_trainable(stage.stage)
    model.train()
    samples = ChunkSamples(
        recording,
        normaliser,
        Prompter(checkpoint.tokenizer, model.arch.foresight_tokens),
        stage.stage,
        model.arch.horizon,
        Augmentation(stage.chunks_per_foresight, stage.max_foresight_age_steps, stage.state_noise),
        stage.optimisation.seed,
    )
    if len(samples) < stage.optimisation.batch_size:
        raise DialError(f"{len(samples)} frames make no batch of {stage.optimisation.batch_size}; collect more episodes.")
    run_training(model, samples, already_a_batch, stage.optimisation, folder, stage.stage, backbone="system2.backbone")


def _save(path: Path, trained: Checkpoint, normaliser: Normaliser, robot: Embodiment, card: str, dtype=torch.float32) -> None:
    save_checkpoint(path, trained.model, trained.tokenizer, normaliser, robot, trained.contract.camera, card, dtype)


def _source(recipe: Recipe, start: Path, dataset: LeRobotDataset) -> dict:
    """What all stages of a run are made from, as the fingerprint of a stage folder remembers it."""
    shown = {"episodes": len(dataset.episodes), "frames": len(dataset.states), "seed": _collected(dataset).get("seed")}
    return {"embodiment": recipe.embodiment, "start": load_checkpoint(start).contract.model_id, "dataset": shown}


def _collected(dataset: LeRobotDataset) -> dict:
    """What `dial collect` noted of the dataset; empty if something else made it."""
    collection = dataset.folder / "meta/collection.json"
    return json.loads(collection.read_text()) if collection.exists() else {}


def _card(recipe: Recipe, start: Path, dataset: LeRobotDataset, command: str) -> str:
    collected = _collected(dataset)
    seeds = {key: collected[key] for key in ("task", "seed", "episodes", "disturbed", "failed") if key in collected}
    return f"""# DIAL checkpoint

Made by `{command}`.

- Starts from: {start.name} (see its model card below).
- Demonstrations: {len(dataset.episodes)} episodes, {len(dataset.states)} frames at {dataset.rate_hz:g} Hz; `{json.dumps(seeds)}`
- Recipe: `{recipe.model_dump_json()}`

## The checkpoint it starts from

{(start / "README.md").read_text()}"""
