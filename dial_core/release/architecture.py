"""The authors' release's configuration and ours: both ways, so that nothing is guessed (model.md, "Parity")."""

import math
import re
from collections.abc import Mapping
from typing import Any

from dial_core.config import validate
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.release.weights import EMBEDDING, WORLD_HEAD


def architecture_of(
    vlm: Mapping[str, Any],
    head: Mapping[str, Any],
    queries: int,
    shapes: Mapping[str, tuple[int, ...]],
    grid: tuple[int, int],
    first_query: int,
) -> Architecture:
    """What the release's configuration and tensors make up.

    Args:
        vlm: the VLM's configuration, as transformers writes it.
        head: the release's `action_head_cfg`.
        queries: N.
        shapes: of all tensors: layers, slots, the rows of tables and whether there is a second foresight head are read off them.
        grid: rows and columns of vision patches of an image.
        first_query: vocabulary row of the first query.

    Raises:
        DialError: a key is missing, or what it says is not DIAL (named).
    """
    try:
        vision, text = vlm["vision_config"], vlm.get("text_config") or vlm
        diffusion, fusion = head["diffusion_model_cfg"], head["vl_self_attention_cfg"]
        _require_dial(head)
        rows = shapes[EMBEDDING][0]
        last = first_query + queries == rows
        slots, _, rim_width = shapes["action_head.state_encoder.layer1.W"]
        values = {
            "image": {"height": grid[0] * vision["patch_size"], "width": grid[1] * vision["patch_size"]},
            "vision": {
                "layers": vision["depth"],
                "width": vision["hidden_size"],
                "ffn_width": vision["intermediate_size"],
                "heads": vision["num_heads"],
                "patch_size": vision["patch_size"],
                "merge": vision["spatial_merge_size"],
                "window_size": vision["window_size"],
                "full_attention_blocks": vision["fullatt_block_indexes"],
            },
            "text": {
                "vocabulary": rows - queries if last else rows,
                "layers": _count(shapes, r"backbone\.vlm_model\.language_model\.layers\.(\d+)\."),
                "width": text["hidden_size"],
                "ffn_width": text["intermediate_size"],
                "heads": text["num_attention_heads"],
                "kv_heads": text["num_key_value_heads"],
                "rope_theta": _rope(text)["rope_theta"],
                "rope_sections": _rope(text)["mrope_section"],
                "norm_eps": text["rms_norm_eps"],
                "max_positions": text["max_position_embeddings"],
            },
            "tokens": {
                "pad": text.get("pad_token_id") or 0,
                "image": vlm["image_token_id"],
                "video": vlm["video_token_id"],
                # transformers 4 may keep these two with the text.
                "vision_start": {**text, **vlm}["vision_start_token_id"],
                "vision_end": {**text, **vlm}["vision_end_token_id"],
                "query": None if last else first_query,
            },
            "fusion": _stack(fusion),
            "decoder": _stack(diffusion)
            | {
                "drops_attention_twice": True,
                "output_width": diffusion["output_dim"],
                "rim_width": rim_width,
                "max_tokens": shapes["action_head.position_embedding.weight"][0],
            },
            "flow": {
                "tau": "released",
                "beta_alpha": head["noise_beta_alpha"],
                "beta_beta": head["noise_beta_beta"],
                "beta_scale": head["noise_s"],
                "buckets": head["num_timestep_buckets"],
            },
            "loss": "mean",
            "separate_world_head": any(name.startswith(WORLD_HEAD) for name in shapes),
            "image_types": shapes["image_type_embedding.weight"][0],
            "horizon": head["action_horizon"],
            "state_dim": shapes["action_head.state_encoder.layer1.W"][1],
            "action_dim": head["action_dim"],
            "embodiments": [f"slot_{slot}" for slot in range(slots)],
        }
    except KeyError as error:
        raise DialError(f"the release's configuration or tensors lack {error}") from error
    return validate(Architecture, values, source="the release's configuration")


def release_config(arch: Architecture) -> dict[str, Any]:
    """The inverse of `architecture_of`: {vlm, head, num_queries, vocab} as in the parity file's metadata.

    Raises:
        DialError: another backbone or bridge than the release's.
    """
    if (arch.backbone, arch.bridge) != ("qwen2_5_vl", "dial"):
        raise DialError(f"the release has backbone 'qwen2_5_vl' and bridge 'dial'; this model has '{arch.backbone}' and '{arch.bridge}'")
    vision, text, tokens, decoder, flow = arch.vision, arch.text, arch.tokens, arch.decoder, arch.flow
    rows = text.vocabulary + (arch.foresight_tokens if tokens.query is None else 0)
    return {
        "vlm": {
            "model_type": "qwen2_5_vl",
            "image_token_id": tokens.image,
            "video_token_id": tokens.video,
            "vision_start_token_id": tokens.vision_start,
            "vision_end_token_id": tokens.vision_end,
            "vision_config": {
                "depth": vision.layers,
                "hidden_size": vision.width,
                "intermediate_size": vision.ffn_width,
                "num_heads": vision.heads,
                "patch_size": vision.patch_size,
                "spatial_merge_size": vision.merge,
                "window_size": vision.window_size,
                "fullatt_block_indexes": list(vision.full_attention_blocks),
                "out_hidden_size": text.width,
            },
            "text_config": {
                "vocab_size": rows,
                "pad_token_id": tokens.pad,
                "num_hidden_layers": text.layers,
                "hidden_size": text.width,
                "intermediate_size": text.ffn_width,
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.kv_heads,
                "rms_norm_eps": text.norm_eps,
                "max_position_embeddings": text.max_positions,
                "rope_theta": text.rope_theta,
                "rope_scaling": {"rope_type": "default", "mrope_section": list(text.rope_sections)},
            },
        },
        "head": {
            "add_pos_embed": True,
            "use_vlln": True,
            "num_target_vision_tokens": 0,
            "action_dim": arch.action_dim,
            "action_horizon": arch.horizon,
            "hidden_size": decoder.rim_width,
            "input_embedding_dim": decoder.width,
            "max_seq_len": decoder.max_tokens,
            "max_num_embodiments": len(arch.embodiments),
            "noise_beta_alpha": flow.beta_alpha,
            "noise_beta_beta": flow.beta_beta,
            "noise_s": flow.beta_scale,
            "num_timestep_buckets": flow.buckets,
            "diffusion_model_cfg": _released_stack(decoder) | {"output_dim": decoder.output_width, "interleave_self_attention": True},
            "vl_self_attention_cfg": _released_stack(arch.fusion),
        },
        "num_queries": arch.foresight_tokens,
        "vocab": rows,
    }


def square_grid(queries: int, merge: int) -> tuple[int, int]:
    """Rows and columns of patches of a square image that gives N merged tokens.

    Raises:
        DialError: N is no square.
    """
    side = math.isqrt(queries)
    if side * side != queries:
        raise DialError(f"{queries} queries are no square image; give its size")
    return side * merge, side * merge


def _require_dial(head: Mapping[str, Any]) -> None:
    """Refuses what the release's code can do and DIAL does not."""
    diffusion = head["diffusion_model_cfg"]
    expected = {"add_pos_embed": True, "use_vlln": True, "num_target_vision_tokens": 0, "use_vl_mask": False}
    wrong = {key: head[key] for key, value in expected.items() if head.get(key, value) != value}
    wanted = {"interleave_self_attention": True, "norm_type": "ada_norm", "positional_embeddings": None}
    wrong |= {f"diffusion_model_cfg.{key}": diffusion[key] for key, value in wanted.items() if diffusion.get(key, value) != value}
    if wrong:
        raise DialError(f"this is no DIAL action head: {wrong}; expected {expected}, and in diffusion_model_cfg {wanted}")


def _stack(stack: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"layers": "num_layers", "heads": "num_attention_heads", "head_width": "attention_head_dim", "dropout": "dropout"}
    return {ours: stack[theirs] for ours, theirs in keys.items()}


def _released_stack(stack: Any) -> dict[str, Any]:
    return {
        "num_layers": stack.layers,
        "num_attention_heads": stack.heads,
        "attention_head_dim": stack.head_width,
        "dropout": stack.dropout,
    }


def _rope(text: Mapping[str, Any]) -> dict[str, Any]:
    """rope_theta and mrope_section, from transformers 4's keys or transformers 5's."""
    parameters = dict(text.get("rope_parameters") or text.get("rope_scaling") or {})
    return {"rope_theta": parameters.get("rope_theta", text.get("rope_theta", 1e6)), "mrope_section": parameters["mrope_section"]}


def _count(shapes: Mapping[str, Any], pattern: str) -> int:
    """How many different numbers stand in the tensors' names."""
    found = {match.group(1) for name in shapes if (match := re.match(pattern, name))}
    return len(found)
