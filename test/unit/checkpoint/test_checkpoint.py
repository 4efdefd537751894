"""Saving and loading checkpoints: what is kept, what is refused, and that the message names the file.

pytest test/unit/checkpoint/test_checkpoint.py
"""

import json
import shutil

import pytest
import torch

from dial_core.checkpoint import checkpoint as checkpoint_module
from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint, save_checkpoint, weights_id
from dial_core.checkpoint.location import checkpoint_folder
from dial_core.checkpoint.stored_weights import TensorFile
from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.robot.embodiment import load_embodiment


@pytest.fixture(scope="module")
def checkpoint(random_checkpoint):
    return load_checkpoint(random_checkpoint)


def test_the_contract_takes_its_own_robot_and_lists_what_differs(checkpoint):
    robot, contract = load_embodiment("gr1"), checkpoint.contract
    contract.require(robot, "ego")
    with pytest.raises(DialError, match="no camera 'wrist'"):
        contract.require(robot, "wrist")
    other = robot.model_copy(update={"name": "iron", "rate_hz": 30.0})
    with pytest.raises(DialError, match=r"embodiment.*gr1.*iron.*rate_hz.*20.*30"):
        contract.require(other, "ego")


def test_the_model_id_follows_the_weights(tmp_path, random_checkpoint, checkpoint):
    ids = [make_random_checkpoint(tmp_path / str(seed), seed).model_id for seed in (0, 1)]
    assert ids[0] == checkpoint.contract.model_id
    assert ids[0] != ids[1]
    assert len(ids[0]) == 16


def test_half_precision_files_are_small_and_load_as_float32(random_checkpoint, checkpoint):
    assert (random_checkpoint / "model.safetensors").stat().st_size < 16e6
    assert checkpoint.model.dtype == torch.float32


def test_saving_replaces_a_checkpoint_and_leaves_nothing_beside_it(tmp_path):
    make_random_checkpoint(tmp_path / "c", seed=0)
    second = make_random_checkpoint(tmp_path / "c", seed=1)
    assert load_checkpoint(tmp_path / "c").contract == second
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_saving_never_overwrites_what_is_no_checkpoint(tmp_path):
    (tmp_path / "precious.txt").write_text("data")
    with pytest.raises(DialError, match="is no checkpoint"):
        make_random_checkpoint(tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "data"


def test_a_normaliser_of_another_width_is_refused(tmp_path):
    with pytest.raises(DialError, match="embodiment 'gr1' has 47, the statistics 46"):
        save_checkpoint(
            tmp_path / "c", DialModel.from_preset("dial_tiny"), tiny_tokenizer(), Normaliser.identity(46), load_embodiment("gr1")
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "normalisation.json",
        "contract.json",
    ],
)
def test_an_incomplete_folder_names_the_missing_file(random_checkpoint, tmp_path, name):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    (tmp_path / "c" / name).unlink()
    with pytest.raises(DialError, match=f"{name} missing"):
        load_checkpoint(tmp_path / "c")


def test_a_broken_weights_file_is_named(random_checkpoint, tmp_path):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    weights = tmp_path / "c" / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (b"", b"no tensors", whole[: len(whole) // 2]):
        weights.write_bytes(broken)
        with pytest.raises(DialError, match=r"model\.safetensors cannot be read"):
            load_checkpoint(tmp_path / "c")


def test_a_config_without_architecture_is_named(random_checkpoint, tmp_path):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    (tmp_path / "c" / "config.json").write_text("{}")
    with pytest.raises(DialError, match=r"config\.json: key 'architecture' is missing"):
        load_checkpoint(tmp_path / "c")


def test_weights_of_another_checkpoint_are_noticed(random_checkpoint, tmp_path):
    make_random_checkpoint(tmp_path / "c", seed=1)
    shutil.copy(random_checkpoint / "contract.json", tmp_path / "c" / "contract.json")
    with pytest.raises(DialError, match="damaged or was edited"):
        load_checkpoint(tmp_path / "c")


def _with(change):
    def edit(file):
        values = json.loads(file.read_text())
        change(values)
        file.write_text(json.dumps(values))

    return edit


def _two_words_exchanged(tokenizer):
    words = tokenizer["model"]["vocab"]
    words["can"], words["bottle"] = words["bottle"], words["can"]


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("normalisation.json", _with(lambda statistics: statistics["action_mean"].__setitem__(20, 0.3))),
        ("contract.json", _with(lambda contract: contract.update(instruction_prefix="please "))),
        ("contract.json", _with(lambda contract: contract.update(crop=[0.2, 0.2, 0.8, 0.8]))),
        ("tokenizer.json", _with(_two_words_exchanged)),
        ("chat_template.jinja", lambda file: file.write_text(file.read_text() + " ")),
    ],
    ids=["statistics", "prefix", "crop", "tokenizer", "template"],
)
def test_whatever_changes_what_a_policy_does_is_part_of_its_id(random_checkpoint, tmp_path, name, edit):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    edit(tmp_path / "c" / name)
    with pytest.raises(DialError, match="damaged or was edited"):
        load_checkpoint(tmp_path / "c")


def test_the_same_weights_with_other_statistics_are_another_model(tmp_path, checkpoint):
    arguments = checkpoint.model, checkpoint.tokenizer, checkpoint.normaliser, load_embodiment("gr1")
    first = save_checkpoint(tmp_path / "c", *arguments)
    assert first.model_id == save_checkpoint(tmp_path / "c", *arguments, card="another card").model_id
    other = Normaliser.identity(47)
    assert first.model_id != save_checkpoint(tmp_path / "c", *arguments[:2], other, arguments[3]).model_id
    assert load_checkpoint(tmp_path / "c").contract.model_id != first.model_id


def test_checkpoints_from_before_keep_the_id_of_their_weights(random_checkpoint, tmp_path):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    before = weights_id(tmp_path / "c")
    _with(lambda contract: contract.update(model_id=before))(tmp_path / "c" / "contract.json")
    assert load_checkpoint(tmp_path / "c").contract.model_id == before
    assert not before.startswith("p")
    shipped = checkpoint_folder("dial_tiny")
    assert load_checkpoint(shipped).contract.model_id == weights_id(shipped) == "e178e437b007a90a"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rate_hz", float("nan"), "rate_hz.*finite"),
        ("rate_hz", 0, "rate_hz.*greater than 0"),
        ("state_dim", 46, "state_dim 46, the model's is 47"),
    ],
)
def test_a_contract_that_no_robot_can_keep_is_refused(random_checkpoint, tmp_path, key, value, message):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    _with(lambda contract: contract.update({key: value}))(tmp_path / "c" / "contract.json")
    with pytest.raises(DialError, match=message):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("when", ["_read_json", "model_with_weights", "_read_normaliser"])
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_never_a_mixture(tmp_path, monkeypatch, when):
    make_random_checkpoint(tmp_path / "c", seed=1)
    read = getattr(checkpoint_module, when)

    def and_then_replaced(*args):
        found = read(*args)
        monkeypatch.undo()
        make_random_checkpoint(tmp_path / "c", seed=2)
        return found

    monkeypatch.setattr(checkpoint_module, when, and_then_replaced)
    with pytest.raises(DialError, match=r"was replaced while it was read; load it again"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("part", ["whole", "system1", "system2"])
def test_the_weights_are_read_once_so_that_what_is_hashed_is_what_is_loaded(random_checkpoint, checkpoint, monkeypatch, part):
    read, fill = [], TensorFile._read

    def counted(self, name, into):
        read.append(name)
        fill(self, name, into)

    monkeypatch.setattr(TensorFile, "_read", counted)
    loaded = load_checkpoint(random_checkpoint, part)
    assert sorted(set(read)) == sorted(read)
    assert loaded.contract == checkpoint.contract


def test_a_contract_for_another_horizon_or_foresight_is_refused(random_checkpoint, tmp_path):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    contract = json.loads((random_checkpoint / "contract.json").read_text())
    (tmp_path / "c" / "contract.json").write_text(json.dumps(contract | {"horizon": 8, "foresight_shape": [64, 192]}))
    with pytest.raises(DialError, match=r"horizon 8, the model's is 16; foresight_shape \(64, 192\), the model's is \(36, 192\)"):
        load_checkpoint(tmp_path / "c")


def test_weights_that_are_not_finite_are_named(tmp_path):
    model = DialModel.from_preset("dial_tiny")
    model.system1.image_type.data[1, 3] = float("nan")
    save_checkpoint(tmp_path / "c", model, tiny_tokenizer(), Normaliser.identity(47), load_embodiment("gr1"))
    with pytest.raises(DialError, match=r"not finite, in system1\.image_type;"):
        load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("action_std"), r"normalisation\.json: normalisation statistics.*action_std.*restore the file"),
        (lambda s: s["state_mean"].__setitem__(20, float("nan")), "state_mean must be 47 finite numbers"),
        (lambda s: s.update(action_mean=s["action_mean"][:-1]), r"action_mean must be 47 finite numbers, got shape \(46,\)"),
        (lambda s: s.update(quantiles=[0.1]), "normalisation statistics.*quantiles"),
    ],
    ids=["missing", "nan", "width", "unknown"],
)
def test_broken_statistics_are_named(random_checkpoint, tmp_path, change, message):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    statistics = json.loads((random_checkpoint / "normalisation.json").read_text())
    change(statistics)
    (tmp_path / "c" / "normalisation.json").write_text(json.dumps(statistics))
    with pytest.raises(DialError, match=message):
        load_checkpoint(tmp_path / "c")


def test_an_unknown_contract_key_is_named(random_checkpoint, tmp_path):
    shutil.copytree(random_checkpoint, tmp_path / "c")
    contract = json.loads((random_checkpoint / "contract.json").read_text())
    (tmp_path / "c" / "contract.json").write_text(json.dumps(contract | {"speed": 1}))
    with pytest.raises(DialError, match="speed"):
        load_checkpoint(tmp_path / "c")
