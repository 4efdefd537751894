"""`dial pretrain-encoder`: a DINOv2 of the tiny size for the bridge `dino`, trained by DINOv2's own objective on rendered views.

It stands in for `facebook/dinov2-base`, which has no counterpart at this size: a tower that never saw a label or a word.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import Dinov2Model

from dial_core.config import Config
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_folder
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.view_encoder import DinoView
from dial_core.training.mixture import Mixture
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.pretrain.crops import block_masks, random_crops
from dial_core.training.pretrain.self_distillation import Distillation, SelfDistillation
from dial_core.training.pretrain.views import Views, load_views
from dial_core.training.trainer import run_training

_BATCH = 64


class EncoderRecipe(Config):
    """What to train on which crops; areas are shares of the view."""

    model: str  # preset whose `view_encoder` is trained
    held_out: int = Field(gt=0)  # views for the linear probe
    global_area: tuple[float, float] = (0.32, 1.0)
    local_area: tuple[float, float] = (0.05, 0.32)
    local_crops: int = Field(default=4, gt=0)
    local_px: int = Field(default=48, gt=0)
    hidden_share: tuple[float, float] = (0.1, 0.5)  # of the patches of every second global crop
    distillation: Distillation = Distillation()
    optimisation: Optimisation

    @property
    def arch(self) -> Architecture:
        """Of the preset.

        Raises:
            DialError: it has no view encoder.
        """
        arch = DialConfig.from_preset(self.model).arch
        if arch.view_encoder is None:
            raise DialError(f"preset {self.model} has no view encoder (bridge '{arch.bridge}'); DINOv2 belongs to the bridge 'dino'")
        return arch


class NumberedViews:
    """Sample k: (k, the view that it shows)."""

    def __init__(self, images: np.ndarray, seed: int) -> None:
        self.images, self.mixture = images, Mixture({"views": len(images)}, {"views": 1.0}, seed)

    def __getitem__(self, number: int) -> tuple[int, np.ndarray]:
        return number, self.images[self.mixture.draw(number)[1]]


class MultiCrop:
    """Samples of `NumberedViews` to the inputs of `SelfDistillation`; the same numbers give the same crops."""

    def __init__(self, recipe: EncoderRecipe) -> None:
        arch = recipe.arch
        assert arch.view_encoder is not None  # EncoderRecipe.arch
        self.recipe, self.side_px = recipe, arch.image.height
        self.rows = self.side_px // arch.view_encoder.patch_size

    def __call__(self, items: list[tuple[int, np.ndarray]]) -> dict[str, Tensor]:
        numbers, images = zip(*items, strict=True)
        recipe, pixels = self.recipe, torch.from_numpy(np.stack(images))
        generator = torch.Generator().manual_seed(recipe.optimisation.seed * 1_000_003 + numbers[0])
        return {
            "global_crops": torch.stack([random_crops(pixels, self.side_px, recipe.global_area, generator) for _ in range(2)]),
            "local_crops": torch.stack(
                [random_crops(pixels, recipe.local_px, recipe.local_area, generator) for _ in range(recipe.local_crops)]
            ),
            # Half of each of the two crops' images, so that both crops have hidden patches.
            "hidden": torch.cat([block_masks(len(images), self.rows, recipe.hidden_share, generator) for _ in range(2)]),
        }


def pretrain_view_encoder(recipe: EncoderRecipe, views_folder: Path, out: Path, command: str, hardware: Hardware | None = None) -> dict:
    """Trains the tower and writes the teacher to `out/tower` (a folder for transformers) with its report, which it returns.

    Args:
        views_folder: shards of `dial pretrain` (OUT/views).
        command: for the tower's card.

    Returns:
        named: share of things in held-out views that a linear probe on the one token below them names, of the trained tower;
        named_untrained: of the tower at its random start; things: how many were asked for.
    """
    arch, views = recipe.arch, load_views(views_folder)
    if len(views) <= recipe.held_out:
        raise DialError(
            f"{views_folder} has {len(views)} views and the recipe holds {recipe.held_out} out; render more with `dial pretrain`"
        )
    held_out, shown = views.split(recipe.held_out, recipe.optimisation.seed)
    del views  # the two parts are copies
    torch.manual_seed(recipe.optimisation.seed)
    tower = DinoView(arch).tower.requires_grad_(True)
    asked = shown.first(4 * recipe.held_out)
    untrained, things = named_by_a_linear_probe(tower, asked, held_out)
    model = SelfDistillation(tower, recipe.distillation, recipe.optimisation.steps)
    data = NumberedViews(shown.images, recipe.optimisation.seed)
    run_training(model, data, MultiCrop(recipe), recipe.optimisation, out / "training", "view encoder", hardware)
    teacher = model.teacher.tower.eval()
    report = {"named": named_by_a_linear_probe(teacher, asked, held_out)[0], "named_untrained": untrained, "things": things}
    with atomic_folder(out / "tower", replace=True) as folder:
        teacher.save_pretrained(folder)
        (folder / "README.md").write_text(_card(recipe, report, command), encoding="utf-8")
    return report


@torch.no_grad()
def named_by_a_linear_probe(tower: Dinov2Model, shown: Views, held_out: Views) -> tuple[float, int]:
    """Share of held-out things whose type a ridge classifier, fitted on `shown`, reads off the one token that lies under them."""
    tokens, labels = _tokens_under_things(tower, shown)
    tested, truth = _tokens_under_things(tower, held_out, shown.names)
    mean, deviation = tokens.mean(0), tokens.std(0).clamp(min=1e-6)
    inputs, tested = (_with_one((part - mean) / deviation) for part in (tokens, tested))
    wanted = torch.nn.functional.one_hot(labels, len(shown.names)).to(inputs.dtype)
    gram = inputs.T @ inputs + len(inputs) * 1e-3 * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    guess = (tested @ torch.linalg.solve(gram, inputs.T @ wanted)).argmax(1)
    return float((guess == truth).double().mean()), len(truth)


def _with_one(inputs: Tensor) -> Tensor:
    return torch.cat([inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)], 1)


def _tokens_under_things(tower: Dinov2Model, views: Views, names: list[str] | None = None) -> tuple[Tensor, Tensor]:
    """Float64 tokens (M, width) at the pixels of everything that the views annotate, and the index (M) of its name in `names`."""
    order = {name: number for number, name in enumerate(names or views.names)}
    was_training = tower.training
    tower.eval()
    picked, labels, side_px = [], [], views.images.shape[2]
    for first in range(0, len(views), _BATCH):
        images = torch.from_numpy(views.images[first : first + _BATCH])
        patches = DinoView.patches_of(tower, images)
        rows = round(patches.shape[1] ** 0.5)
        for offset in range(len(images)):
            for name, place in views.visible(first + offset).items():
                column, row = (min(rows - 1, int(value * rows / side_px)) for value in place)
                picked.append(patches[offset, row * rows + column].double())
                labels.append(order[name])
    tower.train(was_training)
    return torch.stack(picked), torch.tensor(labels)


def _card(recipe: EncoderRecipe, report: dict, command: str) -> str:
    return f"""# View encoder of {recipe.model}

Made by `{command}`: DINOv2's objective (arXiv 2304.07193) from scratch on rendered tabletop views,
{recipe.optimisation.steps} steps of {recipe.optimisation.batch_size} views. A stand-in
for `facebook/dinov2-base` at a size at which there is none; these are the teacher's weights.

Recipe: `{recipe.model_dump_json()}`

A linear probe names the thing over one token: `{json.dumps(report)}`
"""
