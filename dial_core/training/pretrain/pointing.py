"""How well a pretrained tiny VLM points: pixel error by name, the right one of two objects, and its features' scale."""

from __future__ import annotations

import numpy as np
import torch

from dial_core.model.dial import DialModel
from dial_core.model.language_head import greedy_answer
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import LOCATION_BINS, location_token
from dial_core.training.pretrain.grounding import WHERE_PROMPTS, Vocabulary
from dial_core.training.pretrain.views import Views

_BATCH = 64


def measure_pointing(model: DialModel, prompter: Prompter, views: Views, vocabularies: dict[str, Vocabulary]) -> dict:
    """Pointing on held-out views by greedy decoding.

    Returns:
        median_error_px: by name, asked "where is the ...".
        instructed_error_px: median for the object that an instruction names.
        right_object: share of the `pairs` (a named object in a view with another one) where the answer lies nearest to
            the named object.
        features: scale of the merged vision tokens.
    """
    model.eval()
    words = [vocabularies[task] for task in views.tasks]
    single = [words[view].unambiguous(views.visible(view)) for view in range(len(views))]
    by_name = {}
    for name in views.names:
        seen = [view for view in range(len(views)) if name in single[view]]
        if seen:
            noun = words[seen[0]].nouns[name]
            guess = point(model, prompter, views.images[seen], [WHERE_PROMPTS[0].format(name=noun)] * len(seen), [noun] * len(seen))
            by_name[name] = _median(np.linalg.norm(guess - np.array([single[view][name] for view in seen]), axis=1))
    errors, right = _instructed(model, prompter, views, words)
    return {
        "median_error_px": by_name,
        "instructed_error_px": _median(errors),
        "right_object": round(float(np.mean(right)), 4) if right else None,
        "pairs": len(right),
        "features": _feature_scale(model, views),
    }


def _instructed(model: DialModel, prompter: Prompter, views: Views, words: list[Vocabulary]) -> tuple[list[float], list[bool]]:
    """Errors [px] of the named object under an instruction, and with two in view: was it the right one."""
    rng = np.random.default_rng(0)
    shown = [w.nameable(views.visible(i)) for i, w in enumerate(words)]
    cases = [(view, name) for view, places in enumerate(shown) for name in places]
    prompts = [words[view].instruct(name, rng) for view, name in cases]
    guess = point(model, prompter, views.images[[view for view, _ in cases]], prompts, [words[view].nouns[name] for view, name in cases])
    errors, right = [], []
    for (view, name), found in zip(cases, guess, strict=True):
        distance = {other: float(np.linalg.norm(found - xy)) for other, xy in shown[view].items()}
        errors.append(distance[name])
        if len(distance) > 1:
            right.append(distance[name] == min(distance.values()))
    return errors, right


def _median(errors: list[float] | np.ndarray) -> float:
    return round(float(np.median(errors)), 2)


@torch.inference_mode()
def point(model: DialModel, prompter: Prompter, images: np.ndarray, prompts: list[str], nouns: list[str]) -> np.ndarray:
    """Where the model says that each noun is: (x, y) [px], float (V, 2). The answer starts with the noun.

    An answer that is not two location words counts as the corner (0, 0), a miss.
    """
    bin_of = {prompter.tokenizer.convert_tokens_to_ids(location_token(bin_)): bin_ for bin_ in range(LOCATION_BINS)}
    places = np.zeros((len(prompts), 2))
    for first in range(0, len(prompts), _BATCH):
        part = slice(first, first + _BATCH)
        ids_BT, mask_BT = prompter.encode(prompts[part], answer_starts=nouns[part])
        image_tokens_BND = model.encode_image(torch.from_numpy(images[part]))
        answers = greedy_answer(model, image_tokens_BND, ids_BT, mask_BT, tokens=2).tolist()
        places[part] = [[bin_of.get(x, -0.5), bin_of.get(y, -0.5)] for x, y in answers]
    return (places + 0.5) * images.shape[2] / LOCATION_BINS


@torch.inference_mode()
def _feature_scale(model: DialModel, views: Views) -> dict[str, float]:
    tokens_BND = model.encode_image(torch.from_numpy(views.images[:_BATCH])).float()
    # A token that never changes carries no information: the spread over views is what the foresight is to predict.
    return {
        "mean": round(tokens_BND.mean().item(), 4),
        "std": round(tokens_BND.std().item(), 4),
        "std_over_views": round(tokens_BND.std(0).mean().item(), 4),
        "largest": round(tokens_BND.abs().max().item(), 3),
    }
