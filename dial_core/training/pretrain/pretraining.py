"""`dial pretrain`: gives the tiny VLM its eyes, by next-token training from scratch on rendered tabletop views.

Four parts. Seeing: vision tower and language model together, the image tokens under dense supervision too. Reading: the
tower is frozen, its tokens are computed once, and the language model continues alone at a third of the cost: it learns
which word means which thing long after the tower can distinguish them. Pointing and copying: it learns to answer at the
foresight queries too, and keeps answering in text (`query_grounding.py`).

It is a stand-in for Qwen's pretraining, at a size at which no pretrained model exists: afterwards the vision tower and
the text embedding are frozen, as in the paper (Sec. 4.1), and the language model is System-2's starting point.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dial_core.checkpoint.checkpoint import save_checkpoint
from dial_core.config import Config
from dial_core.files.atomic import atomic_write, write_json
from dial_core.files.fingerprint import require_same
from dial_core.jobs.progress import progress_bar
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.language_head import next_token_loss
from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.robot.embodiment import load_embodiment
from dial_core.training.collating import answer_rows
from dial_core.training.cpu_execution import CpuExecution
from dial_core.training.mixture import Mixture, draw_stream
from dial_core.training.optimisation import CHANGES_NO_WEIGHT, Optimisation
from dial_core.training.pretrain.grounding import Vocabulary, names_objects, object_question, question, shift_view, vocabularies_of
from dial_core.training.pretrain.patch_grounding import PatchGrounding
from dial_core.training.pretrain.pointing import measure_pointing
from dial_core.training.pretrain.query_grounding import CollateNamed, NamedObjects, QueryCopying, QueryPointing
from dial_core.training.pretrain.views import Views, load_views, render_views
from dial_core.training.probe import Workload
from dial_core.training.processes import process_state
from dial_core.training.trainer import run_training

PARTS = ("optimisation", "reading", "pointing", "copying")  # of a recipe: what is trained one after the other


class PretrainRecipe(Config):
    """What to render, and how to train on it: `optimisation` trains everything, `reading` the language model alone, `pointing` it with
    the foresight queries, `copying` both and the foresight head.

    The vision tower is exact to a pixel long before the language model can read it, and a step of the language model
    alone, on `reading_views` views encoded once, costs a third.
    """

    model: str
    suites: dict[str, float]  # whose tables are shown, by weight
    recoloured: float = Field(default=0.0, ge=0, le=1)  # share of the tables that are shown in random colours and light
    wordings: tuple[str, ...] = ()  # instructions beside the tasks' own: the words that a pretrained model would know
    views: int = Field(gt=0)
    held_out: int = Field(gt=0)
    view_seed: int = 0
    shift_px: int = Field(default=4, ge=0)
    brightness: float = Field(default=0.1, ge=0)
    optimisation: Optimisation  # seeing
    reading_views: int = Field(gt=0)
    reading: Optimisation
    pointing: Optimisation
    copying: Optimisation
    text_share: float = Field(default=0.0, ge=0, le=1)  # of the samples of these two, which are asked in text as well

    @property
    def workload(self) -> Workload:
        """The step that takes longest."""
        arch, seeing = DialConfig.from_preset(self.model).arch, self.optimisation
        return Workload(arch, seeing.batch_size, stage="pretrain", optimiser=seeing.optimiser)


@dataclass
class PretrainOutput:
    """Of a batch: `text_loss`, mean cross-entropy [nat] of the answers' tokens; `patch_loss` (PatchGrounding); their sum."""

    loss: Tensor
    text_loss: Tensor
    patch_loss: Tensor | None = None


class ViewQuestions:
    """Sample k: a random question about a view, moved and brightened at random: (image, places, prompt, answer)."""

    def __init__(self, views: Views, vocabularies: dict[str, Vocabulary], recipe: PretrainRecipe) -> None:
        self.views, self.vocabularies, self.recipe = views, vocabularies, recipe
        self.seed = recipe.optimisation.seed
        self.mixture = Mixture({"views": len(views)}, {"views": 1.0}, self.seed)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, str, str]:
        _, index = self.mixture.draw(number)
        rng = draw_stream(self.seed, number)
        image, places = shift_view(self.views.images[index], self.views.visible(index), self.recipe.shift_px, rng)
        factor = 1.0 + self.recipe.brightness * rng.uniform(-1.0, 1.0)
        image = np.clip(image * np.float32(factor), 0, 255).astype(np.uint8)
        prompt, answer = question(places, image.shape[1], rng, self.vocabularies[self.views.tasks[index]])
        missing = (np.nan, np.nan)
        shares_K2 = np.array([places.get(name, missing) for name in self.views.names], np.float32) / image.shape[1]
        return image, shares_K2, prompt, answer


class TokenQuestions:
    """Sample k: a question about one of the objects in a view, on the frozen tower's tokens: (tokens (N, D), prompt, answer).

    Only about objects: each is in one view of four, plate and hand are in nearly all, and are learned first anyway.
    """

    def __init__(self, tokens: np.ndarray, views: Views, vocabularies: dict[str, Vocabulary], seed: int) -> None:
        self.tokens, self.views, self.vocabularies = tokens, views, vocabularies
        self.naming = [index for index in range(len(views)) if names_objects(views.visible(index), vocabularies[views.tasks[index]])]
        self.seed, self.mixture = seed, Mixture({"views": len(self.naming)}, {"views": 1.0}, seed)

    def __getitem__(self, number: int) -> tuple[np.ndarray, str, str]:
        view, size_px = self.naming[self.mixture.draw(number)[1]], self.views.images.shape[2]
        rng = draw_stream(self.seed, number)
        return self.tokens[view], *object_question(self.views.visible(view), size_px, rng, self.vocabularies[self.views.tasks[view]])


class Collate:
    """Items of `ViewQuestions` -> pixels uint8 (B, H, W, 3), places (B, K, 2), token rows int64 (B, T) with labels."""

    def __init__(self, prompter: Prompter) -> None:
        self.prompter = prompter

    def __call__(self, items: list[tuple[np.ndarray, np.ndarray, str, str]]) -> dict[str, Tensor]:
        images, places, prompts, answers = zip(*items, strict=True)
        text = answer_rows(self.prompter, prompts, answers)
        pixels = torch.from_numpy(np.stack(images))
        return {"pixels": pixels, "places": torch.from_numpy(np.stack(places))} | text


class CollateTokens:
    """Items of `TokenQuestions` -> image tokens float (B, N, D), token rows int64 (B, T) with labels."""

    def __init__(self, prompter: Prompter) -> None:
        self.prompter = prompter

    def __call__(self, items: list[tuple[np.ndarray, str, str]]) -> dict[str, Tensor]:
        tokens, prompts, answers = zip(*items, strict=True)
        text = answer_rows(self.prompter, prompts, answers)
        return {"image_tokens": torch.from_numpy(np.stack(tokens).astype(np.float32))} | text


class Grounding(nn.Module):
    """The VLM of a DialModel under both losses, gradients to the vision tower included."""

    def __init__(self, model: DialModel, names: int) -> None:
        super().__init__()
        self.model = model
        self.patches = PatchGrounding(model.arch.width, names, model.arch.token_grid[0])

    def compile_blocks(self, compiled: bool = True) -> None:
        """See `DialModel.compile_blocks`."""
        self.model.compile_blocks(compiled)

    def forward(
        self,
        pixels: Tensor,
        places: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        label_elements: Tensor | None = None,
    ) -> PretrainOutput:
        """Losses of a batch. pixels uint8 (B, H, W, 3); places float (B, K, 2) in [0, 1); the rest int64 (B, T).

        `label_elements`: of which the text loss is the mean, where that is not this batch's own number of labels.
        """
        image_tokens_BND = self.model.vision_tokens(pixels)
        text_loss = next_token_loss(self.model, image_tokens_BND, input_ids, attention_mask, labels, label_elements)
        patch_loss = self.patches(image_tokens_BND, places)
        return PretrainOutput(text_loss + patch_loss, text_loss, patch_loss)


class Reading(nn.Module):
    """The language model of a DialModel under the next-token loss, on given image tokens."""

    def __init__(self, model: DialModel) -> None:
        super().__init__()
        self.model = model

    def compile_blocks(self, compiled: bool = True) -> None:
        """See `DialModel.compile_blocks`."""
        self.model.compile_blocks(compiled)

    def forward(
        self, image_tokens: Tensor, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, label_elements: Tensor | None = None
    ) -> PretrainOutput:
        """Loss of a batch. image_tokens float (B, N, D); the rest int64 (B, T); `label_elements` as in `Grounding`."""
        loss = next_token_loss(self.model, image_tokens, input_ids, attention_mask, labels, label_elements)
        return PretrainOutput(loss, loss)


def pretrain(recipe: PretrainRecipe, out: Path, workers: int, command: str, execution: CpuExecution | None = None) -> dict:
    """Renders the views (or finds them), trains, and writes `out/checkpoint` and `out/pointing.json`; returns its content.

    Resumable: views are kept as shards, the training has checkpoints. Every one of several processes that train together calls this.
    `command` goes into the model card.

    Raises:
        DialError: `out` was begun by another recipe.
    """
    state, hardware = process_state(), (execution or CpuExecution()).hardware()
    with state.main_process_first():
        if state.is_main_process:
            may_change = [f"{part}.{key}" for part in PARTS for key in CHANGES_NO_WEIGHT]
            require_same(out / "recipe", recipe.model_dump(mode="json"), may_change, {"text_share": 0.0})
        folder = render_views(recipe.suites, recipe.recoloured, recipe.views, recipe.view_seed, out / "views", workers)
    held_out, shown = load_views(folder).split(recipe.held_out, recipe.view_seed)
    words = vocabularies_of(recipe.suites, shown.names, recipe.wordings)
    model = DialModel.from_preset(recipe.model, recipe.optimisation.seed)
    model.set_trainable("pretrain")
    tokenizer = tiny_tokenizer()
    prompter = Prompter(tokenizer, model.arch.foresight_tokens)
    torch.manual_seed(recipe.optimisation.seed)  # the heads that are thrown away afterwards
    seeing, questions = Grounding(model, len(shown.names)), ViewQuestions(shown, words, recipe)
    run_training(seeing, questions, Collate(prompter), recipe.optimisation, out / "training", "pretrain", hardware)
    model.backbone.visual.requires_grad_(False)
    _round(model.backbone.visual)  # it never learns again: every checkpoint that comes of this one stores it in half precision, exactly
    encoded = shown.first(recipe.reading_views)
    with state.main_process_first():
        tokens = _tokens(model, encoded, out / "tokens.npy")
    read = TokenQuestions(tokens, encoded, words, recipe.reading.seed)
    run_training(Reading(model), read, CollateTokens(prompter), recipe.reading, out / "reading", "reading", hardware)
    report: dict = {}
    if state.is_main_process:
        report = measure_pointing(model, prompter, held_out, words)
    torch.manual_seed(recipe.pointing.seed)
    pointing = QueryPointing(model)
    named = NamedObjects(tokens, encoded, words, model.arch.token_grid, recipe.pointing.seed, recipe.text_share)
    collate = CollateNamed(prompter, text=recipe.text_share > 0)
    run_training(pointing, named, collate, recipe.pointing, out / "pointing", "pointing", hardware)
    pointing.hand_over()
    copying = QueryCopying(model, pointing.readouts)
    run_training(copying, named, collate, recipe.copying, out / "copying", "copying", hardware)
    _round(model)
    if state.is_main_process:
        asked = NamedObjects(_tokens(model, held_out, out / "held_out_tokens.npy"), held_out, words, model.arch.token_grid, 0)
        report["queries"] = copying.measure(asked, prompter)
        report["after_copying"] = measure_pointing(model, prompter, held_out, words)  # is the text still read? Some variants need it
        robot = load_embodiment()
        unknown = Normaliser.identity(robot.state_dim)  # `dial train` fits it to the demonstrations
        save_checkpoint(out / "checkpoint", model, tokenizer, unknown, robot, card=_card(recipe, report, command), dtype=torch.float16)
        write_json(out / "pointing.json", report)
    state.wait_for_everyone()
    return report


@torch.no_grad()
def _round(module: nn.Module) -> None:
    """Rounds the weights to half precision, in which they are stored."""
    for parameter in module.parameters():
        parameter.copy_(parameter.half())


@torch.no_grad()
def _tokens(model: DialModel, views: Views, file: Path) -> np.ndarray:
    """The tower's tokens of all views, float16 (V, N, D), computed once and kept in `file`."""
    if not file.exists():
        model.eval()
        # One array from the start: many small ones, kept among every batch's temporaries, take five times their size of the heap.
        tokens = np.empty((len(views), model.arch.foresight_tokens, model.arch.width), np.float16)
        with progress_bar("image tokens of views", len(views)) as advance:
            for first in range(0, len(views), 64):
                batch = slice(first, first + 64)
                tokens[batch] = model.encode_image(torch.from_numpy(views.images[batch])).half().numpy()
                advance(len(tokens[batch]))
        with atomic_write(file) as partial, partial.open("wb") as opened:
            np.save(opened, tokens)
    return np.load(file)


def _card(recipe: PretrainRecipe, report: dict, command: str) -> str:
    return f"""# {recipe.model}, pretrained to point

Made by `{command}`: next-token training, with dense grounding of the image tokens, from scratch on {recipe.views}
rendered views of the tables of {" and ".join(recipe.suites)},
{recipe.recoloured:.0%} of them in random colours and light. It stands in for Qwen's pretraining;
the foresight queries point too and give the view's tokens back; System-1 is untrained.

Recipe: `{recipe.model_dump_json()}`

On {recipe.held_out} held-out views: `{json.dumps(report)}`
"""
