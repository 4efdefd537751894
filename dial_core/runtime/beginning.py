"""The checkpoint that training begins with: a preset's architecture, a trained backbone, and everything else fresh."""

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from dial_core.embodiment import load_embodiment
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.pretrained import load_backbone, load_view_encoder
from dial_core.runtime.checkpoint import quiet_loading, save_checkpoint
from dial_core.runtime.contract import Contract

BACKBONE_PARTS = ("backbone", "image", "vision", "text", "tokens")  # of an architecture: what its backbone's tensors hang on


def begin(
    path: str | Path,
    preset: str,
    source: str | Path,
    tokenizer: str | Path | None = None,
    view_encoder: str | Path | None = None,
    embodiment: str = "gr1",
    camera: str = "ego",
    seed: int = 0,
) -> Contract:
    """Writes a checkpoint folder that `dial train` can start from.

    Args:
        path: the folder to write.
        preset: architecture, by name in `config/models/` or a path.
        source: a checkpoint of ours, whose backbone is taken (all of it, if the architectures are equal); or a pretrained
            VLM, as a folder or a name on the hub.
        tokenizer: folder or name of another tokenizer than the source's.
        view_encoder: folder or name of DINOv2's weights, for the bridge `dino`; default: as the preset names.
        embodiment, camera: the robot it is for, and the camera it will look through.
        seed: of everything that is fresh.

    Raises:
        DialError: source and preset do not fit; what differs is named.
    """
    model = DialModel.from_preset(preset, seed)
    robot = load_embodiment(embodiment)
    theirs = _architecture(Path(source))
    if theirs is None:
        load_backbone(model, source)
        taken = "backbone"
    else:
        taken = _take(model, theirs, Path(source))
    encoder = model.arch.view_encoder
    if encoder is not None and taken != "everything" and (weights := view_encoder or encoder.pretrained):
        load_view_encoder(model, weights)
    card = (
        f"# {preset}, to begin with\n\n{taken.capitalize()} from {source}; the rest random, seed {seed}. `dial train` goes on from here.\n"
    )
    unknown = Normaliser.identity(robot.state_dim)  # `dial train` fits it to the demonstrations
    return save_checkpoint(path, model, _tokenizer(tokenizer or source), unknown, robot, camera, card, model.dtype)


def _architecture(folder: Path) -> Architecture | None:
    """Of a checkpoint of ours; None for anything else."""
    if not (folder / "config.json").is_file():
        return None
    config = DialConfig.get_config_dict(folder)[0]
    return DialConfig(config["architecture"]).arch if "architecture" in config else None


def _take(model: DialModel, theirs: Architecture, folder: Path) -> str:
    """Copies a checkpoint's backbone, or all of it if the architectures are equal; says which."""
    differing = [part for part in BACKBONE_PARTS if getattr(theirs, part) != getattr(model.arch, part)]
    if differing:
        raise DialError(f"the backbone in {folder} is another one than the preset's: they differ in {', '.join(differing)}")
    with quiet_loading():
        source = DialModel.from_pretrained(folder)
    if theirs == model.arch:
        model.load_state_dict(source.state_dict())
        return "everything"
    model.system2.backbone.load_state_dict(source.system2.backbone.state_dict())
    return "backbone"


def _tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise DialError(f"no tokenizer at '{source}': {error}; name one with --tokenizer") from error
