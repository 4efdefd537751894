"""Copies a trained model's weights into another preset's model, to start the training of a variant or for another robot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from dial_core.checkpoint.checkpoint import quiet_loading, save_checkpoint, view_of
from dial_core.checkpoint.contract import Contract
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.pretrained import load_backbone, load_tokenizer, load_view_encoder
from dial_core.robot.embodiment import load_embodiment

BACKBONE = "system2.backbone."
HEAD = "system2.foresight_head."


@dataclass(frozen=True)
class Transplant:
    """The contract of what was written, and the names of the tensors that are fresh."""

    contract: Contract
    fresh: tuple[str, ...]


def transplant(
    path: str | Path,
    preset: str,
    source: str | Path,
    only_backbone: bool = False,
    tokenizer: str | Path | None = None,
    view_encoder: str | Path | None = None,
    embodiment: str = "gr1",
    camera: str = "ego",
    seed: int = 0,
    forget: Sequence[str] = (),
) -> Transplant:
    """Writes a checkpoint folder that `dial train` can start from.

    Args:
        path: the folder to write.
        preset: architecture, by name in `config/models/` or a path.
        source: a checkpoint of ours or an imported release, of which every tensor is taken that has a place in the preset; or
            a pretrained VLM, as a folder or a name on the hub. The backbone must fit whole.
        only_backbone: takes nothing else.
        tokenizer: folder or name; default: the source's, or that of the backbone that the preset names.
        view_encoder: folder or name of DINOv2's weights, for the bridge `dino`; default: as the preset names.
        embodiment, camera: the robot it is for, and the camera it will look through.
        seed: of everything that is fresh.
        forget: words that get random embeddings, so that the model has never met them; each must be one token.

    Raises:
        DialError: source and preset do not fit, what differs is named; or a word to forget is none of the tokenizer's.
    """
    model = DialModel.from_preset(preset, seed)
    robot, ours = load_embodiment(embodiment), _is_ours(Path(source))
    taken = _take(model, Path(source), only_backbone) if ours else _take_vlm(model, source)
    encoder = model.arch.view_encoder
    if encoder is not None and (weights := view_encoder or encoder.pretrained):
        load_view_encoder(model, weights)
        taken |= {name for name in model.state_dict() if name.startswith("view_encoder.")}
    fresh = tuple(sorted(model.state_dict().keys() - taken))
    rest = f"{len(fresh)} random, seed {seed}: {', '.join(fresh) or 'none'}"
    card = f"# {preset}, to begin with\n\n{len(taken)} tensors from {source}; {rest}.\n"
    words = _own_tokenizer(Path(source), model.arch) if ours and tokenizer is None else load_tokenizer(tokenizer or source)
    if forget:
        forget_words(model, words, forget, seed)
        card += f"\nNew to it, their embeddings random: {', '.join(forget)}.\n"
    unknown = Normaliser.identity(robot.state_dim)  # `dial train` fits it to the demonstrations
    contract = save_checkpoint(path, model, words, unknown, robot, (view_of(model.arch, camera),), card, model.dtype)
    return Transplant(contract, fresh)


def forget_words(model: DialModel, tokenizer: PreTrainedTokenizerBase, words: Sequence[str], seed: int) -> None:
    """Gives words random embeddings, so that the language model knows nothing of them and must learn them from demonstrations.

    Each is drawn around the mean of all other embeddings, with the standard deviation of the values that are replaced. A tokenizer of
    sub-words has other tokens for a word with a capital, and for its plural; these stay known.

    Raises:
        DialError: a word is not one token of the tokenizer; the message names all such.
    """
    places = [tokenizer.encode(f" {word}", add_special_tokens=False) for word in words]  # as inside a sentence
    if several := [word for word, found in zip(words, places, strict=True) if len(found) != 1 or found[0] == tokenizer.unk_token_id]:
        raise DialError(f"{', '.join(several)}: only a word that is one token of the tokenizer can be forgotten")
    table = model.backbone.get_input_embeddings().weight
    rows = sorted({found[0] for found in places})
    with torch.no_grad():
        known = table[rows].float()
        others = torch.ones(len(table), dtype=torch.bool)
        others[rows] = False
        noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(seed))
        drawn = table[others].float().mean(0) + known.std() * noise
        table[rows] = drawn.to(table)


def _is_ours(folder: Path) -> bool:
    return (folder / "config.json").is_file() and "architecture" in DialConfig.get_config_dict(folder)[0]


def _take_vlm(model: DialModel, source: str | Path) -> set[str]:
    load_backbone(model, source)
    return {name for name in model.state_dict() if name.startswith(BACKBONE)}


def _take(model: DialModel, folder: Path, only_backbone: bool) -> set[str]:
    """Copies every tensor of a checkpoint that has a place of its shape, the backbone's strictly; returns their names.

    A head that ends in another space is not taken, be it as wide: it would begin as a map into the wrong one.
    """
    with quiet_loading():
        source = DialModel.from_pretrained(folder)
    differing = [part for part, value in _computation(source.arch).items() if value != _computation(model.arch)[part]]
    if differing:
        raise DialError(f"the backbone in {folder} is another one than the preset's: they differ in {', '.join(differing)}")
    places, found = model.state_dict(), source.state_dict()
    fitting = [name for name, tensor in found.items() if name in places and places[name].shape == tensor.shape]
    if source.arch.view_encoder != model.arch.view_encoder:
        fitting = [name for name in fitting if not name.startswith(HEAD)]
    taken = {name for name in fitting if name.startswith(BACKBONE) or not only_backbone}
    with torch.no_grad():
        for name in taken:
            places[name].copy_(found[name])
    return taken


def _computation(arch: Architecture) -> dict:
    """Returns what determines a backbone's tensors; where the release kept its queries does not matter."""
    tokens = arch.tokens.model_copy(update={"query": None})
    return {"backbone": arch.backbone, "image": arch.image, "vision": arch.vision, "text": arch.text, "tokens": tokens}


def _own_tokenizer(folder: Path, arch: Architecture) -> PreTrainedTokenizerBase:
    """A checkpoint's; an imported release has none and gets that of the backbone that the preset names."""
    if (folder / "tokenizer.json").is_file():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    if arch.pretrained is None:
        raise DialError(f"{folder} has no tokenizer and the preset names no backbone; name one with --tokenizer")
    return load_tokenizer(arch.pretrained)
