"""Reading and writing checkpoints in the authors' release's form: one safetensors file, or a folder of shards."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import AutoConfig

from dial_core.checkpoint.checkpoint import quiet_loading
from dial_core.errors import DialError
from dial_core.files.atomic import atomic_write
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.release.architecture import architecture_of, release_config, square_grid
from dial_core.release.weights import from_release, to_release

PREFIX, CASE = "model.", "case."  # of the state dict and of a parity case's values, in a single file


@dataclass(frozen=True)
class Release:
    """A release's checkpoint as read: `tensors` without prefix, `case` the values of a parity case (empty without one).

    `ignores_prefix`: it was trained on instructions without what the environment puts before them.
    """

    tensors: dict[str, torch.Tensor]
    case: dict[str, torch.Tensor]
    arch: Architecture
    losses: dict[str, dict[str, float]]
    ignores_prefix: bool = False


def read_release(path: str | Path, vlm: str | Path | None = None, image: tuple[int, int] | None = None) -> Release:
    """Reads a single file with a configuration in its metadata, or a folder with `config.json` and shards.

    Args:
        path: the file or folder.
        vlm: for a folder: where the VLM's own `config.json` is (a folder, or a name on the hub); by default as the folder says.
        image: height and width [px] of the images it was trained on; by default the square that gives N tokens.

    Raises:
        DialError: something is missing, truncated or not DIAL.
    """
    path = Path(path)
    if path.is_dir():
        tensors, config = _read_shards(path), _folder_config(path, vlm)
        case, losses = {}, {}
    elif path.is_file():
        stored, metadata = _read_file(path)
        if "config" not in metadata:
            raise DialError(f"{path} has no 'config' in its metadata; give the folder with the release's config.json instead")
        config, losses = (_parsed(metadata.get(key, "{}"), f"'{key}' in the metadata of {path}") for key in ("config", "losses"))
        case = {name.removeprefix(CASE): tensor for name, tensor in stored.items() if name.startswith(CASE)}
        tensors = {name: tensor for name, tensor in stored.items() if not name.startswith(CASE)}
    else:
        raise DialError(f"{path} does not exist; give a release's safetensors file or its folder")
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if missing := [key for key in ("vlm", "head", "num_queries") if key not in config]:
        raise DialError(f"{path}: its configuration lacks {', '.join(missing)}")
    queries = config["num_queries"]
    arch = architecture_of(
        config["vlm"], config["head"], queries, shapes, _patch_grid(case, config, image), _first_query(case, config, queries)
    )
    if arch.foresight_tokens != queries:
        raise DialError(
            f"{path}: images of {arch.image.height}x{arch.image.width} px give {arch.foresight_tokens} tokens, not {queries} queries"
        )
    return Release(tensors, case, arch, losses, bool(config.get("ignore_lang_prefix", False)))


def import_model(release: Release) -> DialModel:
    """Our model with the release's weights.

    Raises:
        DialError: tensors are unknown, missing or do not fit; all are listed.
    """
    with init_empty_weights():
        model = DialModel(DialConfig(release.arch))
    state = from_release(release.tensors, release.arch, {name: tensor.shape for name, tensor in model.state_dict().items()})
    model.load_state_dict(state, strict=True, assign=True)
    model.set_trainable("warmup")
    return model.eval()


def load_as_released(folder: str | Path) -> DialModel:
    """One of our checkpoints, computing as the release does: its tau, its buckets of time, the mean of the losses.

    Raises:
        DialError: the folder is no checkpoint of ours.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise DialError(f"no checkpoint at {folder}: config.json is missing; give a folder that `dial train` or `dial import-release` made")
    config = DialConfig(DialConfig.from_pretrained(folder).arch.following("released"))
    with quiet_loading():
        return DialModel.from_pretrained(folder, config=config).eval()


def export_release(
    model: DialModel, target: str | Path, case: Mapping[str, torch.Tensor] | None = None, losses: Mapping[str, Any] | None = None
) -> None:
    """Writes one safetensors file in the release's naming, with the configuration in its metadata; atomic.

    `case` and `losses` are those of a parity case (see `parity`), if there is one.
    """
    target, config = Path(target), release_config(model.arch)
    tensors = {PREFIX + name: tensor.contiguous() for name, tensor in to_release(model.state_dict(), model.arch).items()}
    tensors |= {CASE + name: tensor.contiguous() for name, tensor in (case or {}).items()}
    metadata = {"config": json.dumps(config), "losses": json.dumps(losses or {})}
    with atomic_write(target) as partial:
        save_file(tensors, partial, metadata)


def _read_file(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DialError(f"{path} cannot be read: {error}; it may be truncated, fetch it again") from error


def _read_shards(folder: Path) -> dict[str, torch.Tensor]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return _read_file(folder / "model.safetensors")[0]
    where: dict[str, str] = _json(index)["weight_map"]
    tensors: dict[str, torch.Tensor] = {}
    for shard in sorted(set(where.values())):
        tensors |= _read_file(folder / shard)[0]
    missing = sorted(set(where) - set(tensors))
    if missing:
        raise DialError(f"{folder}: {index.name} names tensors that no shard holds: {', '.join(missing)}")
    return tensors


def _folder_config(folder: Path, vlm: str | Path | None) -> dict[str, Any]:
    """{vlm, head, num_queries, tokenizer_len} of a release's folder; the VLM's part is read from where it came."""
    config = _json(folder / "config.json")
    try:
        bridge, head, source = config["bridge_cfg"], config["action_head_cfg"], vlm or config["backbone_cfg"]["vlm_path"]
        settings = {"head": head, "num_queries": bridge["num_bridge_tokens"], "tokenizer_len": bridge["tokenizer_len"]}
        settings["ignore_lang_prefix"] = config.get("ignore_lang_prefix", False)
    except KeyError as error:
        raise DialError(f"{folder / 'config.json'} lacks {error}; is this a checkpoint of the authors' release?") from error
    try:
        settings["vlm"] = AutoConfig.from_pretrained(str(source)).to_dict()
    except (OSError, ValueError) as error:
        raise DialError(
            f"the VLM's configuration cannot be had from '{source}': {error}; give --vlm FOLDER with its config.json"
        ) from error
    return settings


def vlm_of(source: Path, vlm: str | Path | None) -> str | Path:
    """Where a release's VLM comes from: `vlm`, or what its folder says. Raises DialError for a single file without `vlm`."""
    if vlm is not None:
        return vlm
    if not source.is_dir():
        raise DialError(f"{source} does not name its VLM, whose tokenizer is needed; name one with --tokenizer or --vlm")
    return _json(source / "config.json")["backbone_cfg"]["vlm_path"]


def _patch_grid(case: Mapping[str, torch.Tensor], config: Mapping[str, Any], image: tuple[int, int] | None) -> tuple[int, int]:
    if "image_grid_thw" in case:
        grids = case["image_grid_thw"]
        if not (grids == grids[0]).all():
            raise DialError(f"the case's images differ in size: {grids.tolist()}; DIAL has one size")
        return int(grids[0, 1]), int(grids[0, 2])
    vision = config["vlm"]["vision_config"]
    if image is None:
        return square_grid(config["num_queries"], vision["spatial_merge_size"])
    return image[0] // vision["patch_size"], image[1] // vision["patch_size"]


def _first_query(case: Mapping[str, torch.Tensor], config: Mapping[str, Any], queries: int) -> int:
    """Vocabulary row of the first query: as the case's prompts end, or the last tokens of the release's tokenizer."""
    if "input_ids" not in case:
        return config.get("tokenizer_len", config.get("vocab", 0)) - queries
    ids = case["input_ids"][:, -queries:]
    if not (ids == torch.arange(int(ids[0, 0]), int(ids[0, 0]) + queries)).all():
        raise DialError(f"the last {queries} ids of every prompt must be the queries, one after the other; got {ids.tolist()}")
    return int(ids[0, 0])


def _json(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path.read_text(), str(path))
    except OSError as error:
        raise DialError(f"{path} cannot be read: {error}") from error


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DialError(f"{source} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise DialError(f"{source} must be an object, found {type(values).__name__}")
    return values
