"""The authors' configuration and ours, by one table that is read in both directions (model.md, "Parity").

A path names a value: `vision.layers` in our Architecture, `vlm.vision_config.depth` in theirs, where `vlm` is the VLM's
configuration as transformers writes it and `head` their `action_head_cfg`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.release.weights import EMBEDDING, WORLD_HEAD


class NamedTwice(NamedTuple):
    """One value under its two names. `read` is False where the tensors state it too: then they are believed."""

    ours: str
    theirs: str
    read: bool = True


def _stack_rows(ours: str, theirs: str) -> tuple[NamedTwice, ...]:
    fields = {"layers": "num_layers", "heads": "num_attention_heads", "head_width": "attention_head_dim", "dropout": "dropout"}
    return tuple(NamedTwice(f"{ours}.{name}", f"{theirs}.{field}") for name, field in fields.items())


TABLE = (
    NamedTwice("vision.layers", "vlm.vision_config.depth"),
    NamedTwice("vision.width", "vlm.vision_config.hidden_size"),
    NamedTwice("vision.ffn_width", "vlm.vision_config.intermediate_size"),
    NamedTwice("vision.heads", "vlm.vision_config.num_heads"),
    NamedTwice("vision.patch_size", "vlm.vision_config.patch_size"),
    NamedTwice("vision.merge", "vlm.vision_config.spatial_merge_size"),
    NamedTwice("vision.window_size", "vlm.vision_config.window_size"),
    NamedTwice("vision.full_attention_blocks", "vlm.vision_config.fullatt_block_indexes"),
    NamedTwice("text.width", "vlm.vision_config.out_hidden_size", read=False),
    NamedTwice("text.layers", "vlm.text_config.num_hidden_layers", read=False),
    NamedTwice("text.width", "vlm.text_config.hidden_size"),
    NamedTwice("text.ffn_width", "vlm.text_config.intermediate_size"),
    NamedTwice("text.heads", "vlm.text_config.num_attention_heads"),
    NamedTwice("text.kv_heads", "vlm.text_config.num_key_value_heads"),
    NamedTwice("text.rope_theta", "vlm.text_config.rope_theta"),
    NamedTwice("text.rope_sections", "vlm.text_config.rope_scaling.mrope_section"),
    NamedTwice("text.norm_eps", "vlm.text_config.rms_norm_eps"),
    NamedTwice("text.max_positions", "vlm.text_config.max_position_embeddings"),
    NamedTwice("tokens.pad", "vlm.text_config.pad_token_id"),
    NamedTwice("tokens.image", "vlm.image_token_id"),
    NamedTwice("tokens.video", "vlm.video_token_id"),
    NamedTwice("tokens.vision_start", "vlm.vision_start_token_id"),
    NamedTwice("tokens.vision_end", "vlm.vision_end_token_id"),
    *_stack_rows("fusion", "head.vl_self_attention_cfg"),
    *_stack_rows("decoder", "head.diffusion_model_cfg"),
    NamedTwice("decoder.output_width", "head.diffusion_model_cfg.output_dim"),
    NamedTwice("decoder.width", "head.input_embedding_dim", read=False),
    NamedTwice("decoder.rim_width", "head.hidden_size", read=False),
    NamedTwice("decoder.max_tokens", "head.max_seq_len", read=False),
    NamedTwice("flow.beta_alpha", "head.noise_beta_alpha"),
    NamedTwice("flow.beta_beta", "head.noise_beta_beta"),
    NamedTwice("flow.beta_scale", "head.noise_s"),
    NamedTwice("flow.buckets", "head.num_timestep_buckets"),
    NamedTwice("horizon", "head.action_horizon"),
    NamedTwice("action_dim", "head.action_dim"),
)
# What our model always does, and the release's code only with these values.
THEIRS_FIXED: dict[str, Any] = {
    "head.add_pos_embed": True,
    "head.use_vlln": True,
    "head.num_target_vision_tokens": 0,
    "head.use_vl_mask": False,
    "head.diffusion_model_cfg.interleave_self_attention": True,
    "head.diffusion_model_cfg.norm_type": "ada_norm",
    "head.diffusion_model_cfg.positional_embeddings": None,
}
# What the release's code always does, and our model only with these values.
OURS_FIXED: dict[str, Any] = {
    "flow.tau": "released",
    "loss": "mean",
    "fusion.drops_attention_twice": True,
    "decoder.drops_attention_twice": True,
}


def architecture_of(
    vlm: Mapping[str, Any],
    head: Mapping[str, Any],
    queries: int,
    shapes: Mapping[str, tuple[int, ...]],
    grid: tuple[int, int],
    first_query: int,
) -> Architecture:
    """Returns the architecture that the release's configuration and tensors describe.

    Args:
        vlm: the VLM's configuration, as transformers writes it.
        head: the release's `action_head_cfg`.
        queries: N.
        shapes: of all tensors. Layers, slots, rows of tables and a second foresight head are read off them.
        grid: rows and columns of vision patches of an image.
        first_query: vocabulary row of the first query.

    Raises:
        DialError: a key is missing, or a value is not DIAL's; both are named.
    """
    config = {"vlm": _current_spelling(vlm), "head": head}
    _require_dial(config)
    values: dict[str, Any] = {}
    for path, value in OURS_FIXED.items():
        _put(values, path, value)
    try:
        for row in TABLE:
            if row.read:
                _put(values, row.ours, _get(config, row.theirs))
        patch = values["vision"]["patch_size"]
        for path, value in _measured(shapes, queries, grid, first_query, patch).items():
            _put(values, path, value)
    except KeyError as error:
        raise DialError(f"the release's configuration or tensors lack {error}") from error
    return validate(Architecture, values, source="the release's configuration")


def release_config(arch: Architecture) -> dict[str, Any]:
    """Returns the inverse of `architecture_of`: {vlm, head, num_queries, vocab} as in the parity file's metadata.

    Raises:
        DialError: another backbone, bridge or place of the queries than the release's.
    """
    if (arch.backbone, arch.bridge) != ("qwen2_5_vl", "dial"):
        raise DialError(f"the release has backbone 'qwen2_5_vl' and bridge 'dial'; this model has '{arch.backbone}' and '{arch.bridge}'")
    if arch.query_positions != "text":
        raise DialError(
            "the release's queries follow the text; this model was trained with `query_positions: image` and would compute wrongly there"
        )
    rows = arch.text.vocabulary + (arch.foresight_tokens if arch.tokens.query is None else 0)
    config: dict[str, Any] = {"vlm": {"model_type": "qwen2_5_vl"}, "num_queries": arch.foresight_tokens, "vocab": rows}
    for path, value in THEIRS_FIXED.items():
        _put(config, path, value)
    for row in TABLE:
        value = _get(arch, row.ours)
        _put(config, row.theirs, list(value) if isinstance(value, tuple) else value)
    _put(config, "vlm.text_config.vocab_size", rows)
    _put(config, "vlm.text_config.rope_scaling.rope_type", "default")
    _put(config, "head.max_num_embodiments", len(arch.embodiments))
    return config


def square_grid(queries: int, merge: int) -> tuple[int, int]:
    """Rows and columns of patches of a square image that gives N merged tokens.

    Raises:
        DialError: N is not a square number.
    """
    side = math.isqrt(queries)
    if side * side != queries:
        raise DialError(f"{queries} queries do not make a square image; give its size")
    return side * merge, side * merge


def _measured(
    shapes: Mapping[str, tuple[int, ...]], queries: int, grid: tuple[int, int], first_query: int, patch_size: int
) -> dict[str, Any]:
    """What only the tensors and the images state, by our paths. Raises KeyError for a tensor that is missing."""
    rows = shapes[EMBEDDING][0]
    queries_are_last = first_query + queries == rows
    slots, state_dim, rim_width = shapes["action_head.state_encoder.layer1.W"]
    return {
        "image.height": grid[0] * patch_size,
        "image.width": grid[1] * patch_size,
        "text.vocabulary": rows - queries if queries_are_last else rows,
        "text.layers": _count(shapes, r"backbone\.vlm_model\.language_model\.layers\.(\d+)\."),
        "tokens.query": None if queries_are_last else first_query,
        "decoder.rim_width": rim_width,
        "decoder.max_tokens": shapes["action_head.position_embedding.weight"][0],
        "separate_world_head": any(name.startswith(WORLD_HEAD) for name in shapes),
        "image_types": shapes["image_type_embedding.weight"][0],
        "state_dim": state_dim,
        "embodiments": [f"slot_{slot}" for slot in range(slots)],
    }


def _require_dial(config: Mapping[str, Any]) -> None:
    """Refuses what the release's code can do and DIAL does not; a value that is absent is the release's default."""
    wrong = {}
    for path, expected in THEIRS_FIXED.items():
        try:
            found = _get(config, path)
        except KeyError:
            continue
        if found != expected:
            wrong[path] = found
    if wrong:
        raise DialError(f"this is not a DIAL action head: {wrong}; expected { ({path: THEIRS_FIXED[path] for path in wrong}) }")


def _current_spelling(vlm: Mapping[str, Any]) -> dict[str, Any]:
    """The VLM's configuration with every key where transformers 4.5x writes it; older and newer versions place some elsewhere."""
    text = dict(vlm.get("text_config") or vlm)
    rope = dict(text.get("rope_parameters") or text.get("rope_scaling") or {})
    text |= {
        "rope_theta": rope.get("rope_theta", text.get("rope_theta", 1e6)),
        "rope_scaling": rope,
        "pad_token_id": text.get("pad_token_id") or 0,
    }
    vision_tokens = {key: text[key] for key in ("vision_start_token_id", "vision_end_token_id") if key in text}
    return {**vision_tokens, **vlm, "text_config": text}


def _get(owner: Any, path: str) -> Any:
    """The value at a dotted path of mappings or typed configurations. Raises KeyError with the path."""
    for name in path.split("."):
        try:
            owner = owner[name] if isinstance(owner, Mapping) else getattr(owner, name)
        except KeyError:
            raise KeyError(path) from None
    return owner


def _put(owner: dict[str, Any], path: str, value: Any) -> None:
    """Sets the value at a dotted path; dicts on the way are made."""
    *parents, name = path.split(".")
    for parent in parents:
        owner = owner.setdefault(parent, {})
    owner[name] = value


def _count(shapes: Mapping[str, Any], pattern: str) -> int:
    """How many different numbers stand in the tensors' names."""
    found = {match.group(1) for name in shapes if (match := re.match(pattern, name))}
    return len(found)
