"""System-1 alone on a recording: from its foresights, against what was commanded, without the VLM."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg

from dial_core.bags.bag_writer import BagWriter
from dial_core.bags.layout import BagError, Topic
from dial_core.bags.reader import Bag
from dial_core.bags.repair import repair
from dial_core.bags.synthetic import ROBOT, STORE, record
from dial_core.checkpoint.checkpoint import make_random_checkpoint
from dial_core.evaluation.studies.open_loop import open_loop, write_open_loop

ROOT = Path(__file__).resolve().parents[4]
KIND = "dial_ros/msg/LatentForesight"
HEADER, _ = STORE.generate_msgdef("std_msgs/msg/Header", ros_version=2)
DEFINITION = (ROOT / "msg/LatentForesight.msg").read_text() + "=" * 80 + "\nMSG: std_msgs/Header\n" + HEADER


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """A random checkpoint, its contract, and a function (model_id) -> a bag with foresights of that model every 250 ms."""
    folder = tmp_path_factory.mktemp("open_loop")
    contract = make_random_checkpoint(folder / "checkpoint")

    def bag(model_id: str, name: str) -> Path:
        plain = Bag(record(folder / f"plain_{name}", seconds=4))
        types = get_types_from_msg(DEFINITION, KIND)
        if KIND not in STORE.fielddefs:
            STORE.register({KIND: types[KIND]})
        topics = [*plain.topics.values(), Topic("/foresight", KIND, DEFINITION)]
        writer = BagWriter(folder / name, topics, plain.facts)
        count = 0
        for topic, log_ns, data in plain.messages(list(plain.topics)):
            writer.write(topic, log_ns, log_ns, data)
            if topic == "/image/ego":
                count += 1
                if count % 5 == 1:
                    writer.write("/foresight", log_ns, log_ns, foresight(log_ns - 2_000_000, model_id, contract.foresight_shape, count))
        writer.close()
        return writer.folder

    return folder / "checkpoint", contract, bag


def foresight(stamp_ns: int, model_id: str, shape, seq: int) -> bytes:
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    tokens = np.random.default_rng(seq).normal(size=shape).astype(np.float32)
    message = types[KIND](
        types["std_msgs/msg/Header"](stamp, "ego"),
        stamp,
        seq,
        "1",
        model_id,
        0.8,
        np.array(shape, np.uint32),
        "float32",
        tokens.view(np.uint8).reshape(-1),
    )
    return bytes(STORE.serialize_cdr(message, KIND))


def test_errors_are_reported_by_joint_and_step_without_the_vlm(driven, tmp_path, monkeypatch):
    checkpoint, contract, bag = driven
    monkeypatch.setattr("dial_core.inference.system2_session.System2Session.foresight", None)
    result = open_loop(checkpoint, bag(contract.model_id, "own"), period_steps=4)
    assert result.rmse.shape == (contract.horizon, len(ROBOT.joints))
    # 4 s less the horizon of 0.8 s, a chunk every 0.2 s.
    assert result.chunks == pytest.approx((4.0 - 0.8) / 0.2, abs=2)
    table = write_open_loop(tmp_path / "out", result, ROBOT)
    assert "standing still" in table
    assert (tmp_path / "out/open_loop.png").stat().st_size > 10_000


def test_foresights_of_another_model_are_refused_with_the_reason(driven):
    checkpoint, _, bag = driven
    with pytest.raises(BagError, match="replay with the checkpoint that drove the robot"):
        open_loop(checkpoint, bag("another", "other"))


def test_a_recording_without_foresight_is_reported(driven, tmp_path):
    checkpoint, _, _ = driven
    with pytest.raises(BagError, match="no foresight was recorded"):
        open_loop(checkpoint, record(tmp_path / "bag", seconds=2))


def test_standing_still_is_measured_against_the_commands(driven, monkeypatch):
    checkpoint, contract, bag = driven
    monkeypatch.setattr("dial_core.bags.live_recording.QUIET_S", 0.0)  # written just now
    folder = bag(contract.model_id, "moving")
    (folder / "metadata.yaml").unlink()
    repair(folder)  # a killed recording serves as well
    result = open_loop(checkpoint, folder)
    elbow = ROBOT.joint_names.index("r_elbow_pitch")
    # 0.25 rad/s for about 2 s: 16 steps (0.8 s) ahead the elbow is up to 0.2 rad further, and 0.04 s of lag more.
    assert 0.1 < result.copying[-1, elbow] < 0.21
    assert np.delete(result.copying, elbow, axis=1).max() < 1e-6
