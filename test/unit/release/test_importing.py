"""An imported release runs in our sessions, and its actions are what its statistics, layout and crop say.

pytest test/unit/release/test_importing.py
"""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.cli import app
from dial_core.errors import DialError
from dial_core.inference.system1_session import System1Session
from dial_core.inference.system2_session import System2Session
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.tokenizer import IMAGE, PAD, VIDEO, VISION_END, VISION_START, tiny_tokenizer
from dial_core.observation.camera_view import fit_view
from dial_core.release.architecture import release_config
from dial_core.release.importing import Target, import_release
from dial_core.release.weights import to_release
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.vector_layout import BasePose

GR1 = load_embodiment("gr1")
WIDTHS = {"wrist_r_pos": 3, "wrist_r_rot6d": 6, "wrist_l_pos": 3, "wrist_l_rot6d": 6}
WIDTHS |= {"right_arm": 7, "right_hand": 6, "left_arm": 7, "left_hand": 6, "waist": 3}
STILL = 30  # an action dimension (the last of the right hand) that never moved in the statistics
BASE = np.array([[0, -1, 0, 2.0], [1, 0, 0, -1.0], [0, 0, 1, 0.93], [0, 0, 0, 1]], float)  # facing +y


def tiny_release_model() -> DialModel:
    tokenizer = tiny_tokenizer()
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in {"pad": PAD, "image": IMAGE, "video": VIDEO}.items()}
    ids |= {"vision_start": tokenizer.convert_tokens_to_ids(VISION_START), "vision_end": tokenizer.convert_tokens_to_ids(VISION_END)}
    torch.manual_seed(3)
    arch = Architecture.model_validate(
        {
            "image": {"height": 56, "width": 56},
            "vision": {
                "layers": 1,
                "width": 32,
                "ffn_width": 48,
                "heads": 2,
                "patch_size": 14,
                "window_size": 56,
                "full_attention_blocks": [0],
            },
            "text": {
                "vocabulary": len(tokenizer),
                "layers": 1,
                "width": 32,
                "ffn_width": 48,
                "heads": 2,
                "kv_heads": 1,
                "rope_theta": 1e4,
                "rope_sections": [2, 3, 3],
            },
            "tokens": ids,
            "fusion": {"layers": 1, "heads": 2, "head_width": 16},
            "decoder": {"layers": 2, "heads": 2, "head_width": 8, "output_width": 24, "rim_width": 40, "max_tokens": 9},
            "flow": {"tau": "released", "buckets": 500},
            "loss": "mean",
            "image_types": 2,
            "horizon": 5,
            "state_dim": 80,  # 76 and padding
            "action_dim": 50,  # 47 and padding
            "embodiments": [f"slot_{slot}" for slot in range(32)],
        }
    )
    return DialModel(DialConfig(arch)).eval()


def statistics() -> dict:
    draw = np.random.default_rng(5)
    blocks = {
        what: {
            name: {"mean": draw.normal(0, 0.3, width).tolist(), "std": draw.uniform(0.002, 0.5, width).tolist()}
            for name, width in WIDTHS.items()
        }
        for what in ("state", "action")
    }
    blocks["action"]["right_hand"]["std"][5] = 0.0
    return {"gr1": {"statistics": blocks, "embodiment_tag": "gr1"}}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release's folder as the authors' trainer leaves it, with random weights; and the model in it."""
    folder, vlm = tmp_path_factory.mktemp("release") / "DIAL-tiny", tmp_path_factory.mktemp("vlm")
    model = tiny_release_model()
    config = release_config(model.arch)
    (folder / "experiment_cfg").mkdir(parents=True)
    tensors = {name: tensor.clone().contiguous() for name, tensor in to_release(model.state_dict(), model.arch).items()}
    save_file(tensors, folder / "model.safetensors")
    (vlm / "config.json").write_text(json.dumps(config["vlm"]))
    tiny_tokenizer().save_pretrained(vlm)
    settings = {
        "backbone_cfg": {"vlm_path": str(vlm)},
        "bridge_cfg": {"num_bridge_tokens": config["num_queries"], "tokenizer_len": config["vocab"]},
        "action_head_cfg": config["head"],
        "ignore_lang_prefix": True,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "experiment_cfg" / "metadata.json").write_text(json.dumps(statistics()))
    return folder, model


def block(what: str, name: str, statistic: str) -> np.ndarray:
    return np.array(statistics()["gr1"]["statistics"][what][name][statistic])


def test_actions_equal_arithmetic_by_hand_through_crop_layout_units_and_statistics(release, tmp_path):
    folder, model = release
    import_release(folder, tmp_path / "imported")
    loaded = load_checkpoint(tmp_path / "imported")
    system1, system2 = System1Session(loaded, noise_seed=0), System2Session(loaded)
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    joints = GR1.home_position + 0.1 * np.arange(29) / 29
    joints[14:20] = [0.4, 3.3, 0.0, 2.0, 1.2, 1.6]  # left hand: sums of two hinges
    joints[20:26] = [0.8, 0.2, 3.2, 0.0, 2.44, 0.3]  # right hand

    # The image: rows 47..205 and columns 6..248 of 256, stretched.
    seen = fit_view(frame, loaded.contract.views[0])
    np.testing.assert_array_equal(seen, cv2.resize(np.ascontiguousarray(frame[47:206, 6:249]), (56, 56), interpolation=cv2.INTER_AREA))

    # The state: right before left, in the world, fingers by their outer hinge, sine and cosine by group, 4 zeros.
    wrists = ForwardKinematics(GR1).wrist_poses(joints)
    state = []
    for side in (slice(9, 18), slice(0, 9)):
        position, six = wrists[side][:3], wrists[side][3:]
        in_world = np.array([2.0 - position[1], -1.0 + position[0], 0.93 + position[2]])
        name = "wrist_r_pos" if side.start else "wrist_l_pos"
        state += [(in_world - block("state", name, "mean")) / block("state", name, "std")]
        state += [[-six[1], six[0], six[2], -six[4], six[3], six[5]]]
    right_hand, left_hand = [0.4, 0.1, 3.2 - 1.57, 0.0, 1.22, 0.3], [0.2, 3.3 - 1.57, 0.0, 1.0, 0.6, 1.6]
    for group in (joints[7:14], right_hand, joints[:7], left_hand, joints[26:]):
        state += [np.sin(group), np.cos(group)]
    state = torch.tensor(np.concatenate([*state, np.zeros(4)]), dtype=torch.float32)[None]
    assert state.shape == (1, 80)

    foresight = system2.foresight(seen, "pick the cup and place it on the plate")
    noise = torch.tensor(np.random.default_rng(0).standard_normal((1, 5, 50)), dtype=torch.float32)
    with torch.inference_mode():
        tokens = model.encode_image(torch.from_numpy(seen)[None])
        fused = model.condition(torch.from_numpy(foresight)[None], tokens)
        raw = model.sample_chunk(fused, state, noise, embodiment_id=24, steps=4)[0, :, :47].double().numpy()

    # The answer: statistics, then the way back.
    mean = np.concatenate([block("action", name, "mean") for name in WIDTHS])
    spread = np.concatenate([block("action", name, "std") for name in WIDTHS])
    raw_dimensions = np.r_[3:9, 12:18]
    mean[raw_dimensions], spread[raw_dimensions] = 0.0, 1.0
    answer = raw * spread + mean
    expected = np.empty((5, 29))
    expected[:, :7], expected[:, 7:14], expected[:, 26:] = answer[:, 31:38], answer[:, 18:25], answer[:, 44:47]
    for ours, theirs in ((slice(14, 20), slice(38, 44)), (slice(20, 26), slice(25, 31))):
        targets = answer[:, theirs]
        fingers, pitch, yaw = targets[:, :4], targets[:, 4:5], targets[:, 5:]
        sums = [np.minimum(fingers, 1.57) + np.minimum(fingers, 1.74), np.minimum(pitch, 1.22) + np.minimum(pitch, 1.23), yaw]
        expected[:, ours] = np.concatenate(sums, -1)
    chunk = system1.chunk(seen, foresight, np.concatenate([wrists, joints]), base=BASE)
    np.testing.assert_allclose(chunk[:, 18:], expected, atol=2e-5)
    assert np.ptp(chunk[:, 18 + 25]) == 0, "a spread of zero gives the mean"
    np.testing.assert_allclose(chunk[:, 0], answer[:, 10] + 1.0, atol=2e-5)  # left wrist: x in the base is y in the world
    np.testing.assert_allclose(chunk[:, 11], answer[:, 2] - 0.93, atol=2e-5)  # right wrist's height


def test_the_contract_holds_crop_layout_slot_and_prompt(release, tmp_path):
    folder, _ = release
    _, contract = import_release(folder, tmp_path / "imported", robot=Target(base=BasePose(position=(0, 0, 0.93))))
    assert (contract.crop, contract.fit) == ((47 / 256, 6 / 256, 159 / 256, 243 / 256), "stretch")
    assert (contract.layout.name, contract.slot, contract.state_dim, contract.action_dim) == ("released", 24, 47, 47)
    assert contract.instruction_prefix == "", "config.json says ignore_lang_prefix"
    session = System1Session.from_checkpoint(tmp_path / "imported")
    foresight = np.zeros(contract.foresight_shape, np.float32)
    state = ForwardKinematics(GR1).state(GR1.home_position)
    standing = np.eye(4)
    standing[2, 3] = 0.93
    image = np.zeros((56, 56, 3), np.uint8)
    np.testing.assert_array_equal(session.chunk(image, foresight, state), session.chunk(image, foresight, state, base=standing))


def test_real_time_chunking_pulls_an_imported_chunk_towards_what_is_committed(release, tmp_path):
    from dial_core.control.overlap import Committed

    folder, _ = release
    import_release(folder, tmp_path / "imported")
    session = System1Session.from_checkpoint(tmp_path / "imported")
    state = ForwardKinematics(GR1).state(GR1.home_position)
    inputs = (np.zeros((56, 56, 3), np.uint8), np.zeros(session.contract.foresight_shape, np.float32), state)
    free = session.chunk(*inputs, base=BASE)
    wanted = free.copy()
    wanted[:, 18:25] += 0.05  # the left arm
    led = session.chunk(*inputs, committed=Committed(wanted, np.ones(5)), base=BASE)
    assert np.abs(led - wanted)[:, 18:25].mean() < 0.5 * np.abs(free - wanted)[:, 18:25].mean()


def test_what_is_missing_is_named(release, tmp_path):
    folder, _ = release
    broken = tmp_path / "metadata.json"
    values = statistics()
    del values["gr1"]["statistics"]["state"]["waist"]
    broken.write_text(json.dumps(values))
    with pytest.raises(DialError, match=r"no numbers at statistics\.state\.waist\.mean"):
        import_release(folder, tmp_path / "a", robot=Target(statistics=broken))
    values = statistics()
    values["gr1"]["statistics"]["state"]["waist"]["std"] = [1.0]
    broken.write_text(json.dumps(values))
    with pytest.raises(DialError, match=r"statistics.state.waist.std has shape \(1,\), expected \(3,\)"):
        import_release(folder, tmp_path / "a", robot=Target(statistics=broken))
    broken.write_text(json.dumps({"iron": {}}))
    with pytest.raises(DialError, match="no statistics of 'gr1'; it has iron"):
        import_release(folder, tmp_path / "a", robot=Target(statistics=broken))
    assert not (tmp_path / "a").exists()


def test_the_command_says_whether_the_checkpoint_is_complete(release, tmp_path):
    folder, _ = release
    result = CliRunner().invoke(app, ["import-release", str(folder), str(tmp_path / "whole"), "--base", "0,0,0.93,1.5708"])
    assert result.exit_code == 0, result.output
    assert load_checkpoint(tmp_path / "whole").contract.layout.base is not None
    with pytest.raises(DialError, match=r"--base 'here': expected X,Y,Z,YAW"):
        CliRunner().invoke(app, ["import-release", str(folder), str(tmp_path / "b"), "--base", "here"], catch_exceptions=False)
