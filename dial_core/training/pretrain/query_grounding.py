"""What a large pretrained VLM does at new tokens within a few steps, taught to the tiny one: to answer there what it sees and reads.

The foresight queries stand behind the prompt, where the image's tokens stand. Each one learns here whether its image token shows the object
that the instruction names, and where that object is (pointing), and then to give its token back as well (copying). Without the first,
foresight follows the hand and ignores the name: a query that sees the hand has to know where the object is, far from its own token.
Without the second, `dial train` has to teach it, with steps so large that the first is lost: a name decides in few frames, and what decides
nothing is overwritten (docs/results/dial_tiny.md). A share of the samples is asked in text as well: queries alone would overwrite that, and
the variants whose System-1 sees the words (docs/variants.md) need it as a large VLM has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.language_head import next_token_loss
from dial_core.model.prompt import IGNORED, Prompter
from dial_core.training.collating import answer_rows, trimmed
from dial_core.training.mixture import Mixture, draw_stream
from dial_core.training.pretrain.grounding import Vocabulary, names_objects, object_question
from dial_core.training.pretrain.views import Views

COPY_WEIGHT = 5.0  # a mean over all features has small gradients: brings the losses to one scale
WHERE_WEIGHT = 2.0
NOTHING_ASKED = ("where", "")  # the row of a batch without questions
_BATCH = 64


class NamedObjects:
    """Sample k: a view's tokens (N, D), an instruction that names one of the objects in it, and the number of the token that shows it.

    With the probability `text_share` also a question about one of the objects, with its answer in text; else None.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        views: Views,
        vocabularies: dict[str, Vocabulary],
        grid: tuple[int, int],
        seed: int,
        text_share: float = 0.0,
    ) -> None:
        self.tokens, self.views, self.vocabularies, self.grid, self.text_share = tokens, views, vocabularies, grid, text_share
        self.naming = [index for index in range(len(views)) if names_objects(views.visible(index), vocabularies[views.tasks[index]])]
        self.seed, self.mixture = seed, Mixture({"views": len(self.naming)}, {"views": 1.0}, seed)

    def __getitem__(self, number: int) -> tuple[np.ndarray, str, int, tuple[str, str] | None]:
        view = self.naming[self.mixture.draw(number)[1]]
        rng = draw_stream(self.seed, number)
        places, words = self.nameable(view), self.vocabularies[self.views.tasks[view]]
        name = str(rng.choice(list(places)))
        instruction = words.instruct(name, rng)
        asked = rng.random() < self.text_share
        question = object_question(self.views.visible(view), self.views.images.shape[2], rng, words) if asked else None
        return self.tokens[view], instruction, self.token_at(*places[name]), question

    def nameable(self, view: int) -> dict[str, tuple[float, float]]:
        """The objects in a view that an instruction can name, with their places [px]."""
        return self.vocabularies[self.views.tasks[view]].nameable(self.views.visible(view))

    def token_at(self, x_px: float, y_px: float) -> int:
        """The image token, row by row, that covers a pixel."""
        rows, columns = self.grid
        height, width = self.views.images.shape[1:3]
        return int(y_px * rows / height) * columns + int(x_px * columns / width)


class CollateNamed:
    """Items of `NamedObjects` -> image tokens float (B, N, D), token rows int64 (B, T) with their mask, `shown` int64 (B,).

    With `text` also the R questions: `question_of` int64 (R,), the sample of each, and their rows `question_ids`, `question_mask` and
    `labels` int64 (R, T'). A batch without any has one whose labels are all ignored.
    """

    def __init__(self, prompter: Prompter, text: bool = False) -> None:
        self.prompter, self.text = prompter, text

    def __call__(self, items: list[tuple[np.ndarray, str, int, tuple[str, str] | None]]) -> dict[str, Tensor]:
        tokens, instructions, shown, questions = zip(*items, strict=True)
        batch = self.named(tokens, instructions) | {"shown": torch.tensor(shown)}
        return batch | self._questions(questions) if self.text else batch

    def _questions(self, questions: Sequence[tuple[str, str] | None]) -> dict[str, Tensor]:
        asked = {number: question for number, question in enumerate(questions) if question is not None}
        rows = answer_rows(self.prompter, *zip(*(asked or {0: NOTHING_ASKED}).values(), strict=True))
        labels = rows["labels"] if asked else torch.full_like(rows["labels"], IGNORED)
        places = {"question_of": torch.tensor(list(asked) or [0]), "labels": labels}
        return places | {"question_ids": rows["input_ids"], "question_mask": rows["attention_mask"]}

    def named(self, tokens: Sequence[np.ndarray], instructions: Sequence[str]) -> dict[str, Tensor]:
        """What the queries answer by: image tokens, and the instructions' rows with their mask."""
        ids_BT, mask_BT = trimmed(*self.prompter.encode(list(instructions)))
        return {"image_tokens": torch.from_numpy(np.stack(tokens).astype(np.float32)), "input_ids": ids_BT, "attention_mask": mask_BT}


@dataclass
class QueryOutput:
    """Of a batch: the weighted sum of its losses.

    Attributes:
        place_loss: mean cross-entropy [nat] over the image tokens of "which one shows the named object".
        where_loss: mean squared error, over all queries, of where that token stands, of half the view's width and height.
        text_loss: mean cross-entropy [nat] of the tokens of the answers in text, if any are asked for.
        copy_loss: mean squared error of the image tokens given back.
    """

    loss: Tensor
    place_loss: Tensor
    where_loss: Tensor
    text_loss: Tensor | None = None
    copy_loss: Tensor | None = None


class Readouts(nn.Module):
    """What is read from a query's state (B, N, D): `names`, whether its token shows the named object, and `where` that one is."""

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.names, self.where, self.grid = nn.Linear(width, 1), nn.Linear(width, 2), grid

    def losses(self, states_BND: Tensor, shown_B: Tensor) -> tuple[Tensor, Tensor]:
        """Place loss and where loss; `shown_B`: the number of the token that shows the named object."""
        where_BN2 = self.where(states_BND)
        return (
            F.cross_entropy(self.names(states_BND)[..., 0], shown_B),
            F.mse_loss(where_BN2, self.centres(shown_B)[:, None].expand_as(where_BN2)),
        )

    def centres(self, shown_B: Tensor) -> Tensor:
        """Centres (B, 2) of image tokens as (x, y), from -1 to 1 over the view."""
        rows, columns = self.grid
        return 2 * torch.stack(((shown_B % columns + 0.5) / columns, (shown_B // columns + 0.5) / rows), -1) - 1


def _with_text(output: QueryOutput, model: DialModel, batch: dict[str, Tensor], elements: Tensor | None) -> QueryOutput:
    """The output with the loss of the questions of a batch (`CollateNamed`), if it has any."""
    if "labels" not in batch:
        return output
    rows = batch["question_ids"], batch["question_mask"], batch["labels"]
    text_loss = next_token_loss(model, batch["image_tokens"][batch["question_of"]], *rows, elements)
    return replace(output, loss=output.loss + text_loss, text_loss=text_loss)


class QueryPointing(nn.Module):
    """The language model with one vector for all queries, which differ by where they stand: what it learns at one place holds at all."""

    def __init__(self, model: DialModel) -> None:
        super().__init__()
        self.model = model
        self.query = nn.Parameter(torch.randn(1, model.arch.width) * 0.02)  # the scale of the text embedding
        self.readouts = Readouts(model.arch.width, model.arch.token_grid)

    def compile_blocks(self, compiled: bool = True) -> None:
        """See `DialModel.compile_blocks`."""
        self.model.compile_blocks(compiled)

    def forward(self, label_elements: Tensor | None = None, **batch: Tensor) -> QueryOutput:
        """Losses of a batch of `CollateNamed`. `label_elements`: of which the text loss is the mean, where that is not this batch's own."""
        queries_ND, ids_BT = self.query.expand(self.model.arch.foresight_tokens, -1), batch["input_ids"]
        states = self.model.system2.hidden_states(batch["image_tokens"], ids_BT, batch["attention_mask"], queries_ND)
        place_loss, where_loss = self.readouts.losses(states[:, ids_BT.shape[1] :], batch["shown"])
        output = QueryOutput(place_loss + WHERE_WEIGHT * where_loss, place_loss, where_loss)
        return _with_text(output, self.model, batch, label_elements)

    @torch.no_grad()
    def hand_over(self) -> None:
        """Makes the vector the beginning of every query of the model."""
        queries_ND = self.model.system2.queries
        if queries_ND is None:
            raise DialError("only a model with foresight queries is pretrained: this one's bridge predicts nothing")
        queries_ND.copy_(self.query.expand_as(queries_ND))


class QueryCopying(nn.Module):
    """Language model, queries and foresight head of a model under all losses, read by what pointing has learned."""

    def __init__(self, model: DialModel, readouts: Readouts) -> None:
        super().__init__()
        self.model, self.readouts = model, readouts
        for name, parameter in model.system2.named_parameters():
            if name.startswith(("queries", "foresight_head")):
                parameter.requires_grad_(True)

    def compile_blocks(self, compiled: bool = True) -> None:
        """See `DialModel.compile_blocks`."""
        self.model.compile_blocks(compiled)

    def forward(self, label_elements: Tensor | None = None, **batch: Tensor) -> QueryOutput:
        """Losses of a batch, given as in `QueryPointing`."""
        copied_BND, states_BND = self.answers(batch["image_tokens"], batch["input_ids"], batch["attention_mask"])
        copy_loss = F.mse_loss(copied_BND, batch["image_tokens"])
        place_loss, where_loss = self.readouts.losses(states_BND, batch["shown"])
        loss = COPY_WEIGHT * copy_loss + place_loss + WHERE_WEIGHT * where_loss
        return _with_text(QueryOutput(loss, place_loss, where_loss, copy_loss=copy_loss), self.model, batch, label_elements)

    def answers(self, image_tokens_BND: Tensor, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens given back (B, N, D), and the states of the queries (B, N, D)."""
        states_BND = self.model.system2.query_states(image_tokens_BND, input_ids_BT, attention_mask_BT)
        return self.model.system2.both_heads(states_BND)[0], states_BND

    @torch.inference_mode()
    def measure(self, questions: NamedObjects, prompter: Prompter) -> dict:
        """On held-out views, every nameable object once.

        The share of right tokens, and that where several can be named; how far a query's answer to where the object is lies from the
        centre of the token that shows it, the median over all queries, in halves of the view's width and height; the copies' error.
        """
        self.eval()
        rng = np.random.default_rng(0)
        cases = [(view, name) for view in questions.naming for name in questions.nameable(view)]
        right, several, away, errors = [], [], [], []
        for first in range(0, len(cases), _BATCH):
            instructions, tokens = [], []
            for view, name in cases[first : first + _BATCH]:
                places, words = questions.nameable(view), questions.vocabularies[questions.views.tasks[view]]
                instructions.append(words.instruct(name, rng))
                tokens.append(questions.token_at(*places[name]))
                several.append(len(places) > 1)
            batch = CollateNamed(prompter).named([questions.tokens[view] for view, _ in cases[first : first + _BATCH]], instructions)
            copied, states = self.answers(batch["image_tokens"], batch["input_ids"], batch["attention_mask"])
            shown = torch.tensor(tokens)
            right += (self.readouts.names(states)[..., 0].argmax(-1) == shown).tolist()
            away += (self.readouts.where(states) - self.readouts.centres(shown)[:, None]).norm(dim=-1).flatten().tolist()
            errors += F.mse_loss(copied, batch["image_tokens"], reduction="none").mean((1, 2)).tolist()
        if not cases:
            raise DialError("no held-out view shows an object that an instruction can name; hold out more views (`held_out`)")
        of_several = [hit for hit, among in zip(right, several, strict=True) if among]
        return {
            "right_token": round(float(np.mean(right)), 4),
            "right_token_of_several": round(float(np.mean(of_several)), 4) if of_several else None,
            "several": len(of_several),
            "where_error": round(float(np.median(away)), 4),
            "copy_error": round(float(np.mean(errors)), 4),
        }
