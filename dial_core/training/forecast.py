"""`dial train --dry-run`: what would be trained, on what, for how long, in how much memory. Needs no weights and no GPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dial_core.datasets.normalisation import warnings_about
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.model.dial import DialModel
from dial_core.observation.camera_view import Box, part_in_words
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.vector_layout import OURS, load_layout
from dial_core.training.mapped_dataset import MappedDataset
from dial_core.training.memory import RESERVE_GIB, frozen_bytes, memory_of, require_room
from dial_core.training.optimisation import Hardware
from dial_core.training.recipe import Recipe, TrainingStage
from dial_core.training.seen_cameras import require_room_for_cameras
from dial_core.training.stages import open_sources
from dial_core.training.starting import architecture_of
from dial_core.training.wrist_axes import in_words

GIB = 2.0**30


def forecast(
    recipe: Recipe,
    start: Path | None,
    folders: Mapping[str, Path],
    hardware: Hardware,
    gpus: int,
    strategy: str,
    console: Console,
    capacity_gib: float = math.inf,
) -> None:
    """Prints parameters by module, each stage's steps, batch, memory a GPU and data mixture; the data, where it is given.

    Raises:
        DialError: neither a start nor a model is named, a rate is for a module that the model lacks, the batch does not divide, the
            recipe names too many cameras, a step does not fit into `capacity_gib` a GPU (after the tables of all stages), or the data
            is broken.
    """
    arch = architecture_of(recipe, start)
    model = DialModel.without_weights(arch)
    require_room_for_cameras(recipe, arch)
    datasets = open_sources(recipe, folders) if folders else {}
    console.print(_arithmetic(recipe, arch))
    shown: dict[str, tuple[int, int]] = {}
    refusals: list[DialError] = []  # at the end: a run is described also where this machine is too small for it
    for number, stage in enumerate(recipe.effective_stages(), 1):
        stage = stage.model_copy(update={"optimisation": hardware.in_precision(stage.optimisation)})
        if number == len(recipe.stages) and model.arch.separate_world_head == "last_stage":
            model.separate_world_head()
        model.set_trainable(stage.stage)
        console.rule(f"stage {number} of {len(recipe.stages)}: {stage.name or stage.stage}")
        stage.optimisation.parameter_groups(model)  # refuses rates of modules that are not there
        if parameter_counts(model) != shown:  # the same in most stages
            shown = parameter_counts(model)
            console.print(_parameters(shown))
        console.print(_run(stage, model, arch, hardware, gpus, strategy))
        console.print(_mixture(stage, datasets))
        micro, _ = hardware.split(stage.optimisation.batch_size, gpus)
        try:
            require_room(model, arch, stage.optimisation, micro, gpus, strategy, capacity_gib, stage.decodings)
        except DialError as error:
            refusals.append(error)
    for name, dataset in datasets.items():
        for what, vectors in {"observation.state": dataset.states, "action": dataset.actions}.items():
            names = dataset.info["features"][what].get("names") or ()
            for warning in warnings_about(vectors[:, recipe.source(name).vector], what, names):
                console.print(f"[yellow]{name}[/]: {warning}", highlight=False)
    if refusals:
        raise refusals[0]


def parameter_counts(model: DialModel) -> dict[str, tuple[int, int]]:
    """Module (two levels deep, the backbone's own parts apart) -> (parameters, of them trainable)."""
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        depth = 3 if name.startswith("system2.backbone.") else 2
        if "embed_tokens" in parts:
            depth = 4
        module = ".".join(parts[:depth])
        total, learning = counts.get(module, (0, 0))
        counts[module] = (total + parameter.numel(), learning + parameter.numel() * parameter.requires_grad)
    return counts


def _parameters(counts: Mapping[str, tuple[int, int]]) -> Table:
    table = Table("module")
    for column in ("parameters", "trainable", "frozen"):
        table.add_column(column, justify="right")
    for module, (total, learning) in counts.items():
        table.add_row(module, _count(total), _count(learning), _count(total - learning))
    total, learning = (sum(values) for values in zip(*counts.values(), strict=True))
    table.add_section()
    table.add_row("all", _count(total), _count(learning), _count(total - learning))
    return table


def _arithmetic(recipe: Recipe, arch: Architecture) -> Table:
    """What decides the losses and shows in no tensor's shape."""
    flow, drawn = arch.flow, recipe.augmentation
    tau = "uniform on [0, 1]"
    if flow.tau == "released":
        beta = f"s ~ Beta({flow.beta_alpha}, {flow.beta_beta})"
        tau = f"({flow.beta_scale} - s) / {flow.beta_scale}, {beta}, embedded in {flow.buckets} buckets"
    dropouts = {
        name: f"{name} {stack.dropout}{' (attention twice)' if stack.drops_attention_twice else ''}"
        for name, stack in {"fusion": arch.fusion, "decoder": arch.decoder}.items()
    }
    heads = {False: "one", "last_stage": "one; in the last stage L_world trains a copy", True: "one for System-1, one for L_world"}
    slots = {recipe.slot, *(source.slot for source in recipe.sources.values())}
    places = ", ".join(f"{slot} ({arch.embodiments.index(slot)})" for slot in sorted(slots))
    table = Table(show_header=False)
    for name, value in {
        "loss": "L_world + L_fm" if arch.loss == "sum" else "(L_world + L_fm) / 2",
        "tau": tau,
        "dropout": ", ".join(dropouts.values()),
        "foresight head": heads[arch.separate_world_head],
        "vectors": f"state {arch.state_dim} wide, {recipe.state_encoding}; action {arch.action_dim} wide; {recipe.normalisation}",
        "layout": _layout(recipe),
        "slots": f"{places} of {len(arch.embodiments)}",
        "images": f"{arch.image.height}x{arch.image.width} px, N = {arch.foresight_tokens}; {recipe.images}; "
        f"crop {drawn.crop}{' (always; the central one at run time)' if drawn.always_crops else ''}, "
        f"brightness {drawn.brightness}, contrast {drawn.contrast}, saturation {drawn.saturation}, hue {drawn.hue}",
        **_cameras(recipe),
        **_sources(recipe, arch.horizon),
        "optimiser": _optimisers(recipe),
    }.items():
        table.add_row(name, value)
    return table


def _optimisers(recipe: Recipe) -> str:
    """Of all stages: one, or Muon and AdamW in turns where a recipe says so."""
    named = {"adamw": "AdamW, eps 1e-8", "muon": "Muon for matrices, AdamW for the rest, eps 1e-8"}
    used = dict.fromkeys(named[stage.optimisation.optimiser] for stage in recipe.effective_stages())
    return f"{', then '.join(used)}; norms and biases do not decay"


def _cameras(recipe: Recipe) -> dict[str, str]:
    """What is seen of each of the robot's cameras."""
    return {f"camera {camera.name}": _view(camera.crop, camera.fit) for camera in recipe.cameras}


def _sources(recipe: Recipe, horizon: int) -> dict[str, str]:
    """Slot, dimensions, rate and view of each source that a stage draws from."""
    rows = {}
    for name in dict.fromkeys(name for stage in recipe.effective_stages() for name in stage.mixture):
        source, rate_hz = recipe.source(name), recipe.rate_of(name)
        parts = [f"slot {source.slot}", "wrists only" if source.dimensions == "eef" else "all dimensions"]
        parts += [f"{rate_hz:g} Hz, {horizon} steps are {horizon / rate_hz:.2f} s"]
        parts += [f"wrist axes {words}"] if (words := in_words(source.wrist_axes)) else []
        parts += [_view(source.crop, source.fit)] if source.crop else []
        rows[f"source {name}"] = "; ".join(parts)
    return rows


def _layout(recipe: Recipe) -> str:
    """Order and frame of the vectors' parts."""
    layout = OURS if recipe.layout is None else load_layout(recipe.layout)
    named = layout.name if recipe.layout else f"{layout.name}, or that of the start"
    groups = layout.groups or tuple(dict.fromkeys(joint.group for joint in load_embodiment(recipe.embodiment).joints))
    return f"{named}: {' and '.join(layout.wrists)} wrist in the frame of the {layout.frame}, {', '.join(groups)}"


def _view(crop: Box | None, fit: str) -> str:
    return f"{part_in_words(crop)}; fit {fit}"


def _run(stage: TrainingStage, model: DialModel, arch: Architecture, hardware: Hardware, gpus: int, strategy: str) -> Table:
    plan = stage.optimisation
    micro, accumulation = hardware.split(plan.batch_size, gpus)
    memory = memory_of(model, arch, plan, micro, gpus, strategy, stage.decodings)
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    table = Table(show_header=False)
    rates = ", ".join(f"{name} {rate:.1e}" for name, rate in {"all": plan.learning_rate, **plan.learning_rates}.items())
    by_muon = f"; {plan.muon_rate_factor:g} times as much for matrices" if plan.optimiser == "muon" else ""
    averages = f"{4 * learning / GIB:.1f} GiB of averages, " if plan.ema_decay else ""
    rows = {
        "steps": f"{plan.steps:,}",
        "batch": f"{plan.batch_size} = {gpus} GPUs x {accumulation} micro-batches x {micro}; {stage.chunks_per_foresight} chunks a sample"
        + (f", noise drawn {stage.flow_draws} times for each" if stage.flow_draws > 1 else ""),
        "samples in all": f"{plan.steps * plan.batch_size:,}",
        "learning rate": f"{rates}{by_muon}; warmup {plan.warmup_fraction:.0%}, then cosine",
        "betas, weight decay, clip": f"{plan.betas[0]}, {plan.betas[1]}; {plan.weight_decay:g}; {plan.clip_norm}",
        "precision": ("bf16; float32 weights, frozen ones bf16 where exact" if plan.bf16 else "float32")
        + (", gradient checkpointing" if plan.gradient_checkpointing else ""),
        f"memory a GPU ({strategy}, estimate)": f"{memory.total / GIB:.1f} GiB: weights {memory.weights / GIB:.1f}, "
        f"gradients {memory.gradients / GIB:.1f}, moments {memory.moments / GIB:.1f}, average {memory.average / GIB:.1f}, "
        f"temporaries {memory.temporaries / GIB:.1f}, activations {memory.activations / GIB:.1f} "
        f"(vision {memory.vision / GIB:.1f} before them); the libraries take some {RESERVE_GIB:g} more",
        "checkpoint": f"{(4 * learning + frozen_bytes(model, arch, plan)) / GIB:.1f} GiB of weights, "
        f"{averages}{4 * plan.moments(model) / GIB:.1f} GiB of moments; {plan.keep_checkpoints} kept",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _mixture(stage: TrainingStage, datasets: Mapping[str, MappedDataset]) -> Table:
    table = Table("source", "share", "episodes", "frames", "times each frame is drawn")
    samples = stage.optimisation.steps * stage.optimisation.batch_size
    known_frames = {name: dataset.frame_count for name, dataset in datasets.items()}
    weights = stage.weights(known_frames) if datasets or "frames" not in stage.mixture.values() else {}
    total = sum(weights.values())
    for name in stage.mixture:
        dataset, weight = datasets.get(name), weights.get(name, 0.0)
        known = (
            [f"{len(dataset.episodes):,}", f"{dataset.frame_count:,}", f"{samples * weight / total / dataset.frame_count:.1f}"]
            if dataset
            else ["?"] * 3
        )
        table.add_row(name, f"{weight / total:.1%}" if weights else "by frames", *known)
    return table


def _count(value: int) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,.1f} M"
    return f"{value / 1e3:,.1f} k" if value >= 1e3 else str(value)
