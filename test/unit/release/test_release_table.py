"""The table between the release's configuration and ours, in both directions.

pytest test/unit/release/test_release_table.py
"""

import copy
import functools

import pytest

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, AttentionStack, Decoder, Flow, SpecialTokens, TextModel, VisionTower
from dial_core.release.architecture import OURS_FIXED, TABLE, THEIRS_FIXED, architecture_of, release_config
from dial_core.release.weights import EMBEDDING

ARCH = Architecture.model_validate(
    {
        "image": {"height": 56, "width": 84},
        "vision": {
            "layers": 3,
            "width": 32,
            "ffn_width": 48,
            "heads": 2,
            "patch_size": 14,
            "window_size": 56,
            "full_attention_blocks": [0, 2],
        },
        "text": {
            "vocabulary": 90,
            "layers": 2,
            "width": 32,
            "ffn_width": 44,
            "heads": 2,
            "kv_heads": 1,
            "rope_theta": 1e4,
            "rope_sections": [2, 3, 3],
            "norm_eps": 1e-5,
            "max_positions": 640,
        },
        "tokens": {"pad": 1, "image": 2, "video": 3, "vision_start": 4, "vision_end": 5},
        "fusion": {"layers": 1, "heads": 2, "head_width": 16, "dropout": 0.1, "drops_attention_twice": True},
        "decoder": {
            "layers": 4,
            "heads": 2,
            "head_width": 8,
            "dropout": 0.3,
            "drops_attention_twice": True,
            "output_width": 24,
            "rim_width": 40,
            "max_tokens": 19,
        },
        "flow": {"tau": "released", "beta_alpha": 1.4, "beta_beta": 1.1, "beta_scale": 0.99, "buckets": 500},
        "loss": "mean",
        "image_types": 2,
        "horizon": 5,
        "state_dim": 80,
        "action_dim": 50,
        "embodiments": [f"slot_{slot}" for slot in range(6)],
    }
)
SHAPES = {
    EMBEDDING: (96, 32),
    "action_head.state_encoder.layer1.W": (6, 80, 40),
    "action_head.position_embedding.weight": (19, 16),
    "image_type_embedding.weight": (2, 32),
    **{f"backbone.vlm_model.language_model.layers.{layer}.mlp.weight": (1,) for layer in range(2)},
}


def read(config: dict) -> Architecture:
    return architecture_of(config["vlm"], config["head"], config["num_queries"], SHAPES, ARCH.patch_grid, first_query=90)


REQUIRED = [row for row in TABLE if row.read and row.ours not in {"text.rope_theta", "tokens.pad"}]  # those two have defaults


def place(config: dict, path: str) -> tuple[dict, str]:
    """The dict that holds the last key of a dotted path, and that key."""
    *parents, name = path.split(".")
    return functools.reduce(dict.__getitem__, parents, config), name


def test_what_is_written_is_read_back_as_the_same_architecture():
    assert read(release_config(ARCH)) == ARCH


def test_every_field_of_the_release_has_a_row_a_tensor_or_a_fixed_value():
    sections = {
        "vision": VisionTower,
        "text": TextModel,
        "tokens": SpecialTokens,
        "fusion": AttentionStack,
        "decoder": Decoder,
        "flow": Flow,
    }
    fields = {f"{section}.{field}" for section, kind in sections.items() for field in kind.model_fields}
    measured = {"text.vocabulary", "text.layers", "tokens.query", "decoder.rim_width", "decoder.max_tokens"}
    of_other_models = {"vision.deepstack_layers", "vision.position_rows", "text.head_width"}
    assert fields - {row.ours for row in TABLE if row.read} - measured - set(OURS_FIXED) == of_other_models


def test_a_row_stands_once_on_their_side():
    theirs = [row.theirs for row in TABLE]
    assert len(set(theirs)) == len(theirs)


@pytest.mark.parametrize("row", REQUIRED, ids=lambda row: row.theirs)
def test_a_missing_key_is_named(row):
    config = release_config(ARCH)
    owner, name = place(config, row.theirs)
    del owner[name]
    with pytest.raises(DialError, match=row.theirs.replace(".", r"\.")):
        read(config)


@pytest.mark.parametrize("path", THEIRS_FIXED)
def test_a_head_that_computes_otherwise_is_refused(path):
    config = release_config(ARCH)
    owner, name = place(config, path)
    owner[name] = "something else"
    with pytest.raises(DialError, match=f"not a DIAL action head: .*{name}.*something else.*expected"):
        read(config)


def test_keys_are_found_where_other_versions_of_transformers_write_them():
    config = release_config(ARCH)
    newer = copy.deepcopy(config)
    text = newer["vlm"]["text_config"]
    text["rope_parameters"] = text.pop("rope_scaling") | {"rope_theta": text.pop("rope_theta")}
    older = copy.deepcopy(config)
    older["vlm"] |= older["vlm"].pop("text_config")
    text_tokens = copy.deepcopy(config)
    for key in ("vision_start_token_id", "vision_end_token_id"):
        text_tokens["vlm"]["text_config"][key] = text_tokens["vlm"].pop(key)
    assert read(newer) == read(older) == read(text_tokens) == ARCH


def test_another_backbone_is_not_the_release():
    with pytest.raises(DialError, match="bridge 'dial'; this model has 'qwen2_5_vl' and 'flare'"):
        release_config(ARCH.model_copy(update={"bridge": "flare"}))
