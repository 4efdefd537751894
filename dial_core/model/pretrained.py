"""The pretrained weights of a backbone, and of DINOv2, from a local folder or the hub, into a model of ours, and its tokenizer. Strict."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Dinov2Model, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.prompt import IMAGE, Prompter

# What decides a backbone's computation and shows in no tensor's shape.
SILENT = {
    "text_config": ("num_attention_heads", "num_key_value_heads", "rms_norm_eps", "rope_parameters"),
    "vision_config": ("num_heads", "window_size", "fullatt_block_indexes", "deepstack_visual_indexes", "spatial_merge_size"),
    "": ("image_token_id", "num_attention_heads", "patch_size"),
}


def load_backbone(model: DialModel, source: str | Path) -> None:
    """Puts a pretrained VLM's weights into `model.backbone`, in the model's precision.

    Args:
        model: of the same sizes; its other parts stay as they are.
        source: a folder that `save_pretrained` wrote, or a name on the Hugging Face hub.

    Raises:
        DialError: nothing there, another kind of model, or other sizes; what differs is listed.
    """
    _load(model.system2.backbone, source, f"backbone '{model.arch.backbone}'")


def load_view_encoder(model: DialModel, source: str | Path) -> None:
    """Puts pretrained DINOv2 weights into the model's view encoder (bridge `dino`); as `load_backbone`."""
    if model.view_encoder is None:
        raise DialError(f"bridge '{model.arch.bridge}' has no view encoder; DINOv2 belongs to the bridge 'dino'")
    _load(model.view_encoder.tower, source, "DINOv2")


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a Qwen-VL, from a local folder or the hub, with the chat template that writes images.

    Qwen2.5-VL keeps two: the one in `tokenizer_config.json` is for text alone, and a tokenizer takes it; that of the processor, which the
    model was trained with, lies in `chat_template.json`, which tokenizers do not read.

    Raises:
        DialError: there is no tokenizer, or it makes no prompt with an image; the message says what to do.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(source))
        if IMAGE not in str(tokenizer.chat_template):
            of_processor = cached_file(str(source), "chat_template.json", _raise_exceptions_for_missing_entries=False)
            if of_processor is not None:
                tokenizer.chat_template = json.loads(Path(of_processor).read_text())["chat_template"]
    except (OSError, ValueError, KeyError) as error:
        raise DialError(f"no tokenizer at '{source}': {error}; name one with --tokenizer") from error
    try:
        Prompter(tokenizer, image_tokens=1)
    except DialError as error:
        raise DialError(f"the tokenizer at '{source}' cannot be used: {error}; or name another one with --tokenizer") from error
    return tokenizer


def _load(part: PreTrainedModel, source: str | Path, what: str) -> None:
    # Not the class of ours: transformers knows how checkpoints of its own name their tensors.
    family: Any = Dinov2Model if isinstance(part, Dinov2Model) else type(part).__mro__[2]
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        loaded, report = family.from_pretrained(source, dtype=part.dtype, output_loading_info=True, ignore_mismatched_sizes=True)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise DialError(f"no weights for {what} at '{source}': {error}") from error
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    differing = _differences(part, loaded)
    if report["missing_keys"]:
        differing.append(f"missing: {', '.join(sorted(report['missing_keys']))}")
    if differing:
        raise DialError(f"the weights at '{source}' do not fit the model's {what}: " + "; ".join(differing))
    with torch.no_grad():
        part.load_state_dict(loaded.state_dict())


def _differences(ours: PreTrainedModel, theirs: PreTrainedModel) -> list[str]:
    """Tensors of other shapes, and settings that no shape shows."""
    wanted, found = ({name: tuple(t.shape) for name, t in model.state_dict().items()} for model in (ours, theirs))
    differing = [f"{name} is {found.get(name)}, must be {shape}" for name, shape in wanted.items() if found.get(name) != shape]
    differing += [f"{name} has no place" for name in found.keys() - wanted.keys()]
    if ours.config.model_type != theirs.config.model_type:
        return [f"it is a {theirs.config.model_type}, must be a {ours.config.model_type}"]
    for section, keys in SILENT.items():
        mine, yours = (getattr(model.config, section, None) if section else model.config for model in (ours, theirs))
        for key in keys:
            values = [_plain(getattr(config, key, None)) for config in (mine, yours)]
            if values[0] != values[1]:
                differing.append(f"{section}.{key}".strip(".") + f" is {values[1]}, must be {values[0]}")
    return differing


def _plain(value: Any) -> Any:
    """Tuples as lists; of rotary parameters what decides."""
    if isinstance(value, dict):
        return {key: _plain(value.get(key)) for key in ("rope_theta", "mrope_section")}
    return list(value) if isinstance(value, tuple) else value
