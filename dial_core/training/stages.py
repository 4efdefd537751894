"""`dial train`: runs the stages of a recipe in order (docs/training.md)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from dial_core.checkpoint.checkpoint import CONTRACT, Checkpoint, load_checkpoint, save_checkpoint
from dial_core.checkpoint.trained_on import TrainedOn
from dial_core.config import by_default, by_field
from dial_core.errors import DialError
from dial_core.files.disk_space import disk_errors, require_free
from dial_core.files.fingerprint import require_same
from dial_core.files.folder_lock import folder_lock
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.collating import ChunkCollator
from dial_core.training.early_steps import require_beginnings
from dial_core.training.image_tokens import cached_features
from dial_core.training.mapped_dataset import MappedDataset
from dial_core.training.normalisers import choose_normalisers, reused_statistics_report
from dial_core.training.optimisation import CHANGES_NO_WEIGHT, Hardware, Optimisation
from dial_core.training.processes import process_state
from dial_core.training.recipe import ROBOT, Recipe, TrainingStage
from dial_core.training.run_folder import published
from dial_core.training.samples import ChunkSamples
from dial_core.training.seen_cameras import require_room_for_cameras, seen_by, trained_views
from dial_core.training.source_checks import require_encodable, require_fitting
from dial_core.training.starting import architecture_of, starting_point
from dial_core.training.streams import CachedTokens, Pixels, Stream, TrainingViews, make_stream
from dial_core.training.trained_vectors import trained_layout, trained_vectors
from dial_core.training.trainer import run_training
from dial_core.training.wrist_axes import axes_of

MAY_CHANGE = [f"stage.optimisation.{key}" for key in CHANGES_NO_WEIGHT]
"""Keys of a recipe that may differ where a run resumes: they change no weight. A spike is passed with a larger `spike_factor`."""


def train(
    recipe: Recipe,
    start: Path | None,
    folders: Mapping[str, Path],
    out: Path,
    workers: int,
    command: str,
    hardware: Hardware | None = None,
) -> Path:
    """Trains the stages of a recipe from `start` and writes `out/checkpoint`; returns that folder.

    Every stage leaves `out/<number>-<stage>/` with its log, loss curve and checkpoint; finished stages are not run again,
    an interrupted one resumes from its newest checkpoint. Every process of an `accelerate launch` calls this.

    Args:
        start: checkpoint folder with the pretrained backbone; None begins with the recipe's model.
        folders: dataset folder of each source that a stage draws from.
        workers: processes that compute the image tokens of `images: cached`.
        command: goes into the model card.

    Raises:
        DialError: as `check_stages`; another run works in `out`; a stage in `out` was started with another recipe, checkpoint or dataset;
            data is missing, broken or too small.
    """
    state = process_state()
    check_stages(recipe, start, hardware or Hardware(), state.num_processes)
    with folder_lock(out, "dial train") if state.is_main_process else nullcontext():
        return _train_stages(recipe, start, folders, out, workers, command, hardware)


def _train_stages(
    recipe: Recipe, start: Path | None, folders: Mapping[str, Path], out: Path, workers: int, command: str, hardware: Hardware | None
) -> Path:
    state = process_state()
    datasets = open_sources(recipe, folders, workers)
    with state.main_process_first():
        start = starting_point(recipe, start, out)
    source = _source(recipe, start, datasets) if state.is_main_process else {}
    spans = [span for dataset in datasets.values() for span in dataset.episodes]
    asked = TrainedOn.of((span.instruction for span in spans), (str(span.facts.get("task", "")) for span in spans))
    current = start
    for number, stage in enumerate(recipe.effective_stages(), 1):
        folder = out / recipe.folder_of(number)
        if state.is_main_process:
            # A run of a version that lacked a key had what is its default now.
            defaults = {f"stage.{field}": value for field, value in by_field(by_default(stage)).items()} | by_field(by_default(recipe))
            defaults |= {f"dataset.{name}.content": facts["content"] for name, facts in source["dataset"].items()}
            require_same(folder, {"stage": stage.model_dump(mode="json"), **source}, MAY_CHANGE, defaults)
        state.wait_for_everyone()
        if not (folder / "checkpoint").exists():
            checkpoint = load_checkpoint(current)
            require_encodable(datasets, prompter_of(checkpoint))
            streams, normaliser = make_streams(recipe, stage, datasets, checkpoint, start, workers)
            if number == len(recipe.stages) and checkpoint.model.arch.separate_world_head == "last_stage":
                checkpoint.model.separate_world_head()
            with disk_errors(folder, f"a checkpoint of {checkpoint_bytes(checkpoint.model, stage.optimisation) / 2**20:,.0f} MB"):
                weights = _train_stage(number, stage, checkpoint, streams, folder, hardware)
            if state.is_main_process:
                _save(folder / "checkpoint", checkpoint, normaliser, recipe, "", asked, weights)
            state.wait_for_everyone()
        current = folder / "checkpoint"
    if state.is_main_process:
        finished = load_checkpoint(current)
        card = _card(recipe, start, datasets, command)
        kept = never_trained(recipe, finished.model)
        _save(out / "checkpoint", finished, finished.normaliser, recipe, card, asked, None, torch.float16, kept)
    state.wait_for_everyone()
    return out / "checkpoint"


def check_stages(recipe: Recipe, start: Path | None, hardware: Hardware, processes: int) -> None:
    """Checks that every stage can be trained, before the first one is: a typo in the last must not show after days.

    Raises:
        DialError: neither a start nor a model is named, a rate is for a module that the model lacks, a batch does not divide, or the recipe
            names more cameras than the model has room for.
    """
    model = DialModel.without_weights(architecture_of(recipe, start))
    require_room_for_cameras(recipe, model.arch)
    for number, stage in enumerate(recipe.effective_stages(), 1):
        if number == len(recipe.stages) and model.arch.separate_world_head == "last_stage":
            model.separate_world_head()
        stage.optimisation.parameter_groups(model)
        hardware.split(stage.optimisation.batch_size, processes)


def open_sources(recipe: Recipe, folders: Mapping[str, Path], workers: int = 0) -> dict[str, MappedDataset]:
    """The datasets that the recipe's stages draw from, by source, checked for their robot, its dimensions and values that are not finite.

    The first time, `workers` processes gather each dataset's vectors (`mapped_dataset.py`).

    Raises:
        DialError: a folder is missing, or named but not drawn from, or a dataset is broken or lacks the episodes that a stage's
            `beginnings` asks for.
    """
    wanted = list(dict.fromkeys(name for stage in recipe.effective_stages() for name in stage.mixture))
    if missing := [name for name in wanted if name not in folders]:
        raise DialError(f"the recipe draws from {', '.join(missing)}: say where with `--dataset {missing[0]}=FOLDER`")
    if unused := [name for name in folders if name not in wanted]:
        raise DialError(f"no stage of the recipe draws from {', '.join(unused)}; it draws from {', '.join(wanted)}")
    datasets = {name: MappedDataset(folders[name], workers) for name in wanted}
    for name, dataset in datasets.items():
        require_fitting(name, dataset, recipe)
        dataset.gather()
    for stage in recipe.effective_stages():
        drawn = [name for name, weight in stage.mixture.items() if weight]
        require_beginnings(stage.beginnings, {name: [span.facts for span in datasets[name].episodes] for name in drawn})
    return datasets


def make_streams(
    recipe: Recipe, stage: TrainingStage, datasets: Mapping[str, MappedDataset], checkpoint: Checkpoint, start: Path, workers: int
) -> tuple[list[Stream], Normaliser]:
    """The stage's sources as the model sees them, and the normaliser of the robot's own slot."""
    arch, layout = checkpoint.model.arch, trained_layout(recipe, checkpoint.contract)
    vectors = trained_vectors(recipe, datasets, layout)
    normalisers = choose_normalisers(recipe, vectors, checkpoint, layout)
    streams = []
    for name in stage.mixture:
        dataset, source = datasets[name], recipe.source(name)
        seen = seen_by(recipe, name, dataset, checkpoint.contract)
        if recipe.images == "pixels":
            views: list[TrainingViews] = [Pixels(dataset, recipe.augmentation, camera, view, workers) for camera, view in seen]
        else:
            with process_state().main_process_first():
                views = [CachedTokens(cached_features(start, dataset, workers, camera, view)) for camera, view in seen]
        axes = axes_of(source.wrist_axes, layout.wrists)
        streams.append(make_stream(name, dataset, vectors[name], views, normalisers[name], arch, source.slot, axes))
    own = [name for name in normalisers if recipe.source(name).statistics == recipe.robot_statistics]
    if not own:
        raise DialError(f"no stage draws from a source of the robot '{recipe.slot}', so its vectors cannot be normalised; add `{ROBOT}`")
    return streams, normalisers[own[0]]


def _train_stage(
    number: int, stage: TrainingStage, checkpoint: Checkpoint, streams: list[Stream], folder: Path, hardware: Hardware | None
) -> dict[str, Tensor]:
    model, plan = checkpoint.model, stage.optimisation
    plan = plan.model_copy(update={"seed": stage_seed(plan.seed, number)})
    model.set_trainable(stage.stage)
    model.train()
    room = (plan.keep_checkpoints + 1 - len(published(folder))) * checkpoint_bytes(model, plan)
    require_free(folder, room, f"training with {plan.keep_checkpoints} checkpoints")
    weights = stage.weights({stream.name: len(stream) for stream in streams})
    samples = ChunkSamples(streams, weights, prompter_of(checkpoint), stage.stage, model.arch, stage.variety, plan.seed, stage.beginnings)
    return run_training(model, samples, ChunkCollator(model.arch), plan, folder, stage.name or stage.stage, hardware)


def prompter_of(checkpoint: Checkpoint) -> Prompter:
    """What makes prompts of instructions for the checkpoint's model, as on the robot."""
    return Prompter.for_model(checkpoint.tokenizer, checkpoint.model.arch, checkpoint.contract.instruction_prefix)


def checkpoint_bytes(model: Module, plan: Optimisation) -> int:
    """Size of one checkpoint of a run [bytes]: weights, moments of what is trained, and the average of the weights."""
    weights = sum(value.numel() * value.element_size() for value in model.parameters())
    trained = sum(value.numel() * value.element_size() for value in model.parameters() if value.requires_grad)
    return weights + 4 * plan.moments(model) + (trained if plan.ema_decay else 0)


def never_trained(recipe: Recipe, model: DialModel) -> set[str]:
    """Names of the tensors that no stage trains."""
    names = {name for name, _ in model.named_parameters()}
    for stage in recipe.effective_stages():
        model.set_trainable(stage.stage)
        names -= {name for name, value in model.named_parameters() if value.requires_grad}
    return names


def stage_seed(seed: int, number: int) -> int:
    """The seed of stage `number`: of its own, so that no stage draws what an earlier one drew."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _save(
    path: Path,
    trained: Checkpoint,
    normaliser: Normaliser,
    recipe: Recipe,
    card: str,
    asked: TrainedOn,
    weights: dict[str, torch.Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    kept: Collection[str] = (),
) -> None:
    save_checkpoint(
        path,
        trained.model,
        trained.tokenizer,
        normaliser,
        load_embodiment(recipe.embodiment),
        trained_views(recipe, trained.contract),
        card,
        dtype,
        weights,
        trained_layout(recipe, trained.contract),
        trained.contract.instruction_prefix,
        asked,
        kept,
    )


def _source(recipe: Recipe, start: Path, datasets: Mapping[str, MappedDataset]) -> dict:
    """What all stages of a run are made from, as the fingerprint of a stage folder remembers it."""
    shown = {
        name: {
            "episodes": len(dataset.episodes),
            "frames": dataset.frame_count,
            "seed": _collected(dataset).get("seed"),
            "content": dataset.content,
        }
        for name, dataset in datasets.items()
    }
    return _settings(recipe) | {"start": json.loads((start / CONTRACT).read_text())["model_id"], "dataset": shown}


def _settings(recipe: Recipe) -> dict:
    """What a recipe says of all stages, as JSON values."""
    return recipe.model_dump(mode="json", exclude={"stages", "warmup", "human_data"})


def _collected(dataset: MappedDataset) -> dict:
    """What `dial collect` noted of the dataset; empty if something else made it."""
    collection = dataset.folder / "meta/collection.json"
    return json.loads(collection.read_text()) if collection.exists() else {}


def _card(recipe: Recipe, start: Path, datasets: Mapping[str, MappedDataset], command: str) -> str:
    lines = []
    for name, dataset in datasets.items():
        noted = ("task", "seed", "episodes", "disturbed", "changed", "missed", "two_objects", "failed")
        kept = {key: value for key, value in _collected(dataset).items() if key in noted}
        counts = f"{len(dataset.episodes)} episodes, {dataset.frame_count} frames at {dataset.rate_hz:g} Hz"
        lines.append(f"- Data `{name}`: {counts}; `{json.dumps(kept)}`")
    earlier = start / "README.md"
    return f"""# DIAL checkpoint

Made by `{command}`.

- Starts from: {start.name} (see its model card below).
{chr(10).join(lines)}
- Recipe: `{recipe.model_dump_json()}`
{_statistics_line(recipe, start, datasets)}
## The checkpoint it starts from

{earlier.read_text() if earlier.exists() else "It has no model card."}"""


def _statistics_line(recipe: Recipe, start: Path, datasets: Mapping[str, MappedDataset]) -> str:
    if recipe.statistics != "reused":
        return ""
    begun = load_checkpoint(start)
    vectors = trained_vectors(recipe, datasets, trained_layout(recipe, begun.contract))
    report = reused_statistics_report(recipe, vectors, begun)
    return f"- {report}\n" if report else ""
