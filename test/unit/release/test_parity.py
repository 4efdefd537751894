"""The authors' release is the oracle: its checkpoints come in whole, go out again, and the numbers agree to 1e-4.

pytest test/unit/runtime/test_parity.py
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from dial_core.cli import app
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.release.folder import export_release, import_model, load_as_released, read_release
from dial_core.release.importing import import_release
from dial_core.release.parity import Row, make_case, parity

CASE = Path(__file__).parents[2] / "data" / "dial_release_case_a.safetensors"
# Other sizes than the given case's in every respect that the file form leaves open.
SMALL = {
    "image": {"height": 56, "width": 84},
    "vision": {
        "layers": 3,
        "width": 48,
        "ffn_width": 80,
        "heads": 4,
        "patch_size": 14,
        "window_size": 56,
        "full_attention_blocks": [0, 2],
    },
    "text": {
        "vocabulary": 90,
        "layers": 2,
        "width": 32,
        "ffn_width": 48,
        "heads": 2,
        "kv_heads": 1,
        "rope_theta": 1e4,
        "rope_sections": [2, 3, 3],
    },
    "tokens": {"pad": 1, "image": 60, "video": 61, "vision_start": 62, "vision_end": 63},
    "fusion": {"layers": 1, "heads": 2, "head_width": 16, "drops_attention_twice": True},
    "decoder": {"layers": 6, "heads": 2, "head_width": 8, "output_width": 24, "rim_width": 40, "max_tokens": 9}
    | {"drops_attention_twice": True},
    "flow": {"tau": "released", "beta_alpha": 2.0, "buckets": 500},
    "loss": "mean",
    "image_types": 2,
    "horizon": 5,
    "state_dim": 7,
    "action_dim": 6,
    "embodiments": ["slot_0", "slot_1", "slot_2"],
}


def small_model(**changes) -> DialModel:
    torch.manual_seed(3)
    return DialModel(DialConfig(Architecture.model_validate(SMALL | changes))).eval()


def rewritten(tmp_path, change) -> Path:
    """The given case with its tensors changed."""
    tensors = load_file(CASE)
    with safe_open(CASE, "pt") as opened:
        metadata = opened.metadata()
    change(tensors)
    save_file(tensors, tmp_path / "case.safetensors", metadata)
    return tmp_path / "case.safetensors"


def test_every_quantity_of_the_release_is_reproduced_to_1e_4():
    rows = parity(CASE)
    assert len(rows) == 18
    assert [row.quantity for row in rows if not row.within] == []


@pytest.mark.parametrize(
    "changes", [{}, {"separate_world_head": True}, {"tokens": SMALL["tokens"] | {"query": 64}}], ids=["plain", "world head", "query rows"]
)
def test_a_model_of_other_sizes_survives_export_and_import_bit_for_bit(tmp_path, changes):
    model = small_model(**changes)
    export_release(model, tmp_path / "first.safetensors", *make_case(model))
    assert {row.error for row in parity(tmp_path / "first.safetensors")} == {0.0}

    back = import_model(read_release(tmp_path / "first.safetensors"))
    assert back.arch == model.arch
    export_release(back, tmp_path / "second.safetensors", *make_case(model))
    first, second = load_file(tmp_path / "first.safetensors"), load_file(tmp_path / "second.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_whose_queries_stand_at_the_image_is_no_release(tmp_path):
    with pytest.raises(DialError, match="query_positions: image"):
        export_release(small_model(query_positions="image"), tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_given_weights_leave_as_they_came(tmp_path):
    release = read_release(CASE)
    export_release(import_model(release), tmp_path / "out.safetensors")
    out = load_file(tmp_path / "out.safetensors")
    assert {name.removeprefix("model.") for name in out} == set(release.tensors)
    assert all(torch.equal(out[f"model.{name}"], tensor) for name, tensor in release.tensors.items())


def test_an_imported_folder_is_loaded_by_from_pretrained_and_exported_again(tmp_path):
    import_release(CASE, tmp_path / "ours")
    again = load_as_released(tmp_path / "ours")
    assert torch.equal(again.system2.queries, import_model(read_release(CASE)).system2.queries)
    with pytest.raises(DialError, match="is there already"):
        import_release(CASE, tmp_path / "ours")


def test_sharded_folders_are_read_whole(tmp_path):
    release = read_release(CASE)
    names = sorted(release.tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: release.tensors[name] for name in held}, tmp_path / shard)
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with safe_open(CASE, "pt") as opened:
        config = json.loads(opened.metadata()["config"])
    bridge = {"num_bridge_tokens": 16, "tokenizer_len": 160}
    folder = {"action_head_cfg": config["head"], "bridge_cfg": bridge, "backbone_cfg": {"vlm_path": str(tmp_path / "vlm")}}
    (tmp_path / "config.json").write_text(json.dumps(folder))
    (tmp_path / "vlm").mkdir()
    (tmp_path / "vlm" / "config.json").write_text(json.dumps(config["vlm"]))
    read = read_release(tmp_path)
    assert read.arch == release.arch
    assert torch.equal(import_model(read).system2.queries, import_model(release).system2.queries)

    (tmp_path / "b.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:-5000])
    with pytest.raises(DialError, match=r"b\.safetensors cannot be read"):
        read_release(tmp_path)


def test_unknown_missing_and_misshapen_tensors_are_all_listed(tmp_path):
    def corrupt(tensors):
        tensors["model.surprise.weight"] = torch.zeros(2)
        del tensors["model.action_head.vlln.bias"]
        tensors["model.bridge_projector.0.bias"] = torch.zeros(3)

    with pytest.raises(DialError) as caught:
        import_model(read_release(rewritten(tmp_path, corrupt)))
    for words in ("unknown: surprise.weight", "missing: action_head.vlln.bias", "shape: bridge_projector.0.bias is (3,), expected (64,)"):
        assert words in str(caught.value)


def test_vision_towers_that_differ_are_refused(tmp_path):
    def corrupt(tensors):
        tensors["model.bridge_goal_model.merger.mlp.0.bias"] += 1e-3

    with pytest.raises(DialError, match=r"differs .*bridge_goal_model\.merger\.mlp\.0\.bias"):
        import_model(read_release(rewritten(tmp_path, corrupt)))


def test_the_command_ends_with_1_when_a_weight_is_off(tmp_path):
    def corrupt(tensors):
        tensors["model.action_head.action_decoder.layer2.b"] += 1e-3

    assert CliRunner().invoke(app, ["parity", str(CASE)]).exit_code == 0
    result = CliRunner().invoke(app, ["parity", str(rewritten(tmp_path, corrupt))])
    assert result.exit_code == 1
    assert "not equal" in result.output
    assert "actions" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.update(config="{"), "'config' in the metadata of .* is no JSON"),
        (lambda t, m: m.update(config="[]"), "must be an object, found list"),
        (lambda t, m: m.update(config=m["config"].replace('"num_queries"', '"queries"')), "lacks num_queries"),
        (lambda t, m: m.update(config=m["config"].replace('"ada_norm"', '"layer_norm"')), "norm_type.*layer_norm"),
        (lambda t, m: m.update(config=m["config"].replace('"num_attention_heads": 4', '"num_attention_heads": 3')), "must divide width"),
        (lambda t, m: m.pop("losses"), r"missing: losses\.golden\.bridge_loss"),
        (lambda t, m: t.pop("case.state"), "missing: state"),
        (lambda t, m: t["case.embodiment_id"].fill_(9), r"embodiment_id \[9, 9\]; the model has slots 0 to 3"),
        (lambda t, m: t["case.input_ids"].__setitem__((0, -1), 7), "must be the queries, one after the other"),
    ],
)
def test_a_file_of_another_form_is_refused_with_what_is_wrong(tmp_path, change, message):
    with safe_open(CASE, "pt") as stored:
        metadata = stored.metadata()
    tensors = load_file(CASE)
    change(tensors, metadata)
    save_file(tensors, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(DialError, match=message):
        parity(tmp_path / "other.safetensors")


def test_not_a_number_is_never_within():
    assert not Row("x", float("nan"), 1.0).within


def test_a_truncated_file_says_so(tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(CASE.read_bytes()[:100_000])
    with pytest.raises(DialError, match=r"cut\.safetensors cannot be read"):
        parity(tmp_path / "cut.safetensors")


def test_only_the_world_head_learns_from_the_world_loss_when_it_is_separate():
    model = small_model(separate_world_head=True)
    model.set_trainable("end_to_end")
    case, _ = make_case(model)
    count = model.arch.foresight_tokens
    view, goal = (
        model.vision.patch_tokens(model.backbone.visual, case[key].view(2, -1, case[key].shape[-1]))
        for key in ("pixel_values", "goal_pixel_values")
    )
    output = model(
        "end_to_end",
        view.detach(),
        goal.detach(),
        case["input_ids"][:, :-count],
        case["attention_mask"][:, :-count],
        case["state"].squeeze(1),
        case["action"],
        case["action_mask"],
        embodiment_id=case["embodiment_id"],
    )
    output.world_loss.backward(retain_graph=True)
    assert all(p.grad is None for p in model.system2.foresight_head.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.system2.world_head.parameters())
    model.zero_grad()
    output.action_loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in model.system2.foresight_head.parameters())
    assert all(p.grad is None for p in model.system2.world_head.parameters())
    assert model.system2.queries.grad.abs().sum() > 0
