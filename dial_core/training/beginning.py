"""The checkpoint that a run begins with: a given one, or one made of a preset and its backbone's pretrained weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from dial_core.embodiment import load_embodiment
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.embodiment_slots import SlotLinear
from dial_core.model.normalise import Normaliser
from dial_core.model.pretrained import load_backbone, load_view_encoder
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.runtime.checkpoint import load_checkpoint, save_checkpoint
from dial_core.training.recipe import Recipe

FOLDER = "0-start"


def begin(recipe: Recipe, start: Path | None, out: Path) -> Path:
    """The checkpoint folder that the first stage starts from; written to `out/0-start` where there is none that fits.

    Without `start` it is the recipe's preset: the backbone's pretrained weights from a local folder or the hub, all else random.
    A `start` without a slot for one of the recipe's sources gets it, as a copy of its first slot.

    Raises:
        DialError: neither a start nor a model is named, or the weights cannot be had.
    """
    made = out / FOLDER
    if made.exists():
        return made
    if start is not None:
        slots = recipe.slots(DialConfig.from_pretrained(start).arch.embodiments)
        return start if slots == DialConfig.from_pretrained(start).arch.embodiments else _with_slots(recipe, start, slots, made)
    if recipe.model is None:
        raise DialError("name what to begin with: `--start CHECKPOINT`, or `model: PRESET` in the recipe; `dial pretrain` makes a tiny one")
    arch = recipe.fitted(DialConfig.from_preset(recipe.model).arch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.stages[0].optimisation.seed)
        model = DialModel(DialConfig(arch))
    if arch.pretrained:
        load_backbone(model, arch.pretrained)
    if arch.view_encoder and arch.view_encoder.pretrained:
        load_view_encoder(model, arch.view_encoder.pretrained)
    card = f"# {recipe.model}, untrained\n\nBackbone: {arch.pretrained or 'random'}; all else random.\n"
    _save(made, model, _tokenizer(arch), recipe, card)
    return made


def grow_slots(model: DialModel, slots: tuple[str, ...]) -> DialModel:
    """The same model with further embodiment slots, each a copy of the first."""
    arch = model.arch.model_copy(update={"embodiments": slots})
    grown = DialModel(DialConfig(arch))
    per_slot = {f"{name}.{part}" for name, module in model.named_modules() if isinstance(module, SlotLinear) for part in ("weight", "bias")}
    new = len(slots) - len(model.arch.embodiments)
    state = {
        name: torch.cat([value, value[:1].expand(new, *value.shape[1:])]) if name in per_slot else value
        for name, value in model.state_dict().items()
    }
    grown.load_state_dict(state)
    return grown


def _with_slots(recipe: Recipe, start: Path, slots: tuple[str, ...], made: Path) -> Path:
    checkpoint = load_checkpoint(start)
    card = start / "README.md"
    text = card.read_text() if card.exists() else ""
    _save(made, grow_slots(checkpoint.model, slots), checkpoint.tokenizer, recipe, text)
    return made


def _tokenizer(arch: Architecture) -> PreTrainedTokenizerBase:
    if not arch.pretrained:
        return tiny_tokenizer()
    try:
        return AutoTokenizer.from_pretrained(arch.pretrained)
    except (OSError, ValueError) as error:
        raise DialError(f"no tokenizer at '{arch.pretrained}': {error}") from error


def _save(made: Path, model: DialModel, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, card: str) -> None:
    robot = load_embodiment(recipe.embodiment)
    save_checkpoint(made, model, tokenizer, Normaliser.identity(robot.state_dim), robot, card=card)
