import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLModel

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.checkpoint.initialise import transplant
from dial_core.errors import DialError
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.model.bridges import BRIDGES
from dial_core.model.dial import DialModel
from dial_core.model.tokenizer import tiny_tokenizer


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A DIAL checkpoint, as `dial pretrain` leaves one."""
    path = tmp_path_factory.mktemp("begin") / "pretrained"
    make_random_checkpoint(path, seed=4)
    return path


def backbone(model: DialModel) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if name.startswith("system2.backbone.")}


@pytest.mark.parametrize("bridge", [bridge for bridge in BRIDGES if bridge != "dial"])
def test_every_variant_begins_with_the_same_backbone_and_runs_in_both_sessions(pretrained, tmp_path, bridge):
    transplant(tmp_path / "start", f"dial_tiny_{bridge}", pretrained)
    start = load_checkpoint(tmp_path / "start")
    expected, found = backbone(load_checkpoint(pretrained).model), backbone(start.model)
    assert all(tensor.equal(expected[name]) for name, tensor in found.items())
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    intent = System2Session(start).foresight(image, "pick the can from the placemat and place it on the plate")
    assert intent.shape == start.contract.foresight_shape == start.model.arch.intent_shape
    chunk = System1Session(start).chunk(image, intent, np.zeros(47, np.float32))
    assert chunk.shape == (16, 47)
    assert np.isfinite(chunk).all()


def test_an_equal_architecture_is_taken_whole_or_its_backbone_only(pretrained, tmp_path):
    assert transplant(tmp_path / "whole", "dial_tiny", pretrained, seed=8).fresh == ()
    fresh = transplant(tmp_path / "part", "dial_tiny", pretrained, only_backbone=True, seed=8).fresh
    expected, whole, part = (load_checkpoint(path).model.state_dict() for path in (pretrained, tmp_path / "whole", tmp_path / "part"))
    assert all(tensor.equal(whole[name]) for name, tensor in expected.items())
    assert not any(name.startswith("system2.backbone.") for name in fresh)
    assert not part["system2.queries"].equal(expected["system2.queries"])


@pytest.mark.parametrize("words", [["can"], ["can", "milk"]])
def test_forgotten_words_have_random_embeddings_and_nothing_else_changes(pretrained, tmp_path, words):
    transplant(tmp_path / "known", "dial_tiny", pretrained)
    transplant(tmp_path / "new", "dial_tiny", pretrained, forget=words)
    known, new = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("known", "new"))
    differing = [name for name, tensor in known.items() if not tensor.equal(new[name])]
    assert differing == ["system2.backbone.language_model.embed_tokens.weight"]
    rows = (known[differing[0]] != new[differing[0]]).any(1).nonzero().flatten().tolist()
    assert rows == sorted(tiny_tokenizer().convert_tokens_to_ids(words))
    before, after = known[differing[0]][rows], new[differing[0]][rows]
    assert after.std() == pytest.approx(before.std(), rel=0.25)
    assert abs(torch.nn.functional.cosine_similarity(before, after)).max() < 0.3
    assert f"New to it, their embeddings random: {', '.join(words)}." in (tmp_path / "new/README.md").read_text()


def test_only_a_word_of_the_tokenizer_can_be_forgotten(pretrained, tmp_path):
    with pytest.raises(DialError, match="cola can, xylophone: only a word that is one token"):
        transplant(tmp_path / "start", "dial_tiny", pretrained, forget=["can", "cola can", "xylophone"])
    assert not (tmp_path / "start").exists()


def test_a_head_into_another_space_begins_fresh_though_it_is_as_wide(pretrained, tmp_path):
    fresh = transplant(tmp_path / "start", "dial_tiny_dino", pretrained).fresh
    expected, found = (load_checkpoint(path).model.state_dict() for path in (pretrained, tmp_path / "start"))
    head = [name for name in expected if name.startswith("system2.foresight_head.")]
    assert head
    assert set(head) <= set(fresh)
    assert found["system2.queries"].equal(expected["system2.queries"])
    assert head[0] not in transplant(tmp_path / "other", "dial_tiny_seer", pretrained).fresh


def test_for_another_robot_only_what_its_vectors_touch_is_fresh(pretrained, tmp_path):
    (tmp_path / "iron.yaml").write_text("extends: dial_tiny\nstate_dim: 50\naction_dim: 50\nembodiments: [iron]\n")
    fresh = transplant(tmp_path / "start", str(tmp_path / "iron.yaml"), pretrained, embodiment="iron").fresh
    assert set(fresh) == {
        "system1.action_encoder.w1.weight",
        "system1.action_head.layer2.bias",
        "system1.action_head.layer2.weight",
        "system1.state_encoder.layer1.weight",
    }


def test_a_vlm_that_transformers_saved_is_taken_with_its_tokenizer(tmp_path):
    torch.manual_seed(1)
    source = DialModel.from_preset("dial_tiny", seed=6).system2.backbone
    Qwen2_5_VLModel.save_pretrained(source, tmp_path / "vlm")
    tiny_tokenizer().save_pretrained(tmp_path / "vlm")
    transplant(tmp_path / "start", "dial_tiny", tmp_path / "vlm")
    start = load_checkpoint(tmp_path / "start")
    assert all(tensor.equal(start.model.system2.backbone.state_dict()[name]) for name, tensor in source.state_dict().items())
    assert start.tokenizer.encode("pick the can") == tiny_tokenizer().encode("pick the can")
    assert "random, seed 0" in (tmp_path / "start/README.md").read_text()


def test_another_backbone_than_the_presets_is_refused(pretrained, tmp_path):
    (tmp_path / "other.yaml").write_text("extends: dial_tiny\ntext: {layers: 3}\n")
    with pytest.raises(DialError, match="they differ in text"):
        transplant(tmp_path / "start", str(tmp_path / "other.yaml"), pretrained)
    with pytest.raises(DialError, match="no weights for backbone"):
        transplant(tmp_path / "start", "dial_tiny", tmp_path / "nothing")
    assert not (tmp_path / "start").exists()
