"""The checkpoint that the first stage starts from: the given one, extended by slots for embodiments that it lacks."""

from __future__ import annotations

from pathlib import Path

import torch

from dial_core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from dial_core.checkpoint.contract import read_contract
from dial_core.checkpoint.initialise import transplant
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.embodiment_slots import SlotLinear
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.probe import Workload
from dial_core.training.recipe import Recipe

FOLDER = "0-start"


def architecture_of(recipe: Recipe, start: Path | None) -> Architecture:
    """The model that a run begins with (`starting.py`), without making it.

    Raises:
        DialError: neither a start nor a model is named.
    """
    if start is None and recipe.model is None:
        raise DialError("name a model: `--start CHECKPOINT`, or `model: PRESET` in the recipe")
    arch = DialConfig.from_pretrained(start).arch if start else DialConfig.from_preset(recipe.model or "").arch
    return arch.model_copy(update={"embodiments": recipe.slots(arch.embodiments)})


def workload_of(recipe: Recipe, start: Path | None) -> Workload:
    """The step that takes most of a run: one of the last stage, whose gradients go everywhere. Raises as `architecture_of`."""
    stage = recipe.effective_stages()[-1]
    arch, samples = architecture_of(recipe, start), stage.optimisation.batch_size
    pixels = recipe.images == "pixels"
    return Workload(arch, samples, stage.chunks_per_foresight, stage.stage, pixels, stage.flow_draws, stage.optimisation.optimiser)


def starting_point(recipe: Recipe, start: Path | None, out: Path) -> Path:
    """The checkpoint folder to start from: `start`, or the recipe's preset around its backbone's pretrained weights in `out/0-start`.

    A checkpoint without a slot for one of the recipe's sources gets it, as a copy of its first slot, in `out/0-start-ID`, ID its own.

    Raises:
        DialError: there is nothing to begin with, or its weights cannot be had.
    """
    if start is None:
        start = out / FOLDER
        if not start.exists():
            transplant(start, *_preset(recipe), embodiment=recipe.embodiment, seed=recipe.stages[0].optimisation.seed)
    slots = DialConfig.from_pretrained(start).arch.embodiments
    if recipe.slots(slots) == slots:
        return start
    made = out / f"{FOLDER}-{read_contract(start).model_id}"  # another start in the same `out` must not find this one's
    if made.exists():
        return made
    checkpoint = load_checkpoint(start)
    card = start / "README.md"
    grown = grow_slots(checkpoint.model, recipe.slots(slots))
    if _holds(out / FOLDER, grown):
        return out / FOLDER  # where versions put it that did not name the start: the run's stages remember its id
    robot, contract = load_embodiment(recipe.embodiment), checkpoint.contract
    save_checkpoint(
        made,
        grown,
        checkpoint.tokenizer,
        checkpoint.normaliser,
        robot,
        contract.views,
        card.read_text() if card.exists() else "",
        layout=contract.layout,
        instruction_prefix=contract.instruction_prefix,
    )
    return made


def _holds(folder: Path, model: DialModel) -> bool:
    """Whether a checkpoint folder is there and has exactly the weights of `model`."""
    if not folder.exists():
        return False
    stored, wanted = load_checkpoint(folder).model.state_dict(), model.state_dict()
    return stored.keys() == wanted.keys() and all(stored[name].equal(value) for name, value in wanted.items())


def grow_slots(model: DialModel, slots: tuple[str, ...]) -> DialModel:
    """The same model with further embodiment slots, each a copy of the first."""
    grown = DialModel(DialConfig(model.arch.model_copy(update={"embodiments": slots})))
    per_slot = {f"{name}.{part}" for name, module in model.named_modules() if isinstance(module, SlotLinear) for part in ("weight", "bias")}
    new = len(slots) - len(model.arch.embodiments)
    state = {
        name: torch.cat([value, value[:1].expand(new, *value.shape[1:])]) if name in per_slot else value
        for name, value in model.state_dict().items()
    }
    grown.load_state_dict(state)
    return grown


def _preset(recipe: Recipe) -> tuple[str, str]:
    """Name of the model and of its backbone's weights."""
    if recipe.model is None:
        raise DialError("name what to begin with: `--start CHECKPOINT`, or `model: PRESET` in the recipe; `dial pretrain` makes a tiny one")
    backbone = DialConfig.from_preset(recipe.model).arch.pretrained
    if backbone is None:
        raise DialError(f"model {recipe.model} names no pretrained backbone: make a start with `dial begin` and give it as `--start`")
    return recipe.model, backbone
