"""An imported release drives an environment of the benchmark: what the simulator receives is what arithmetic by hand says.

pytest test/unit/release/test_on_the_benchmark.py
"""

import threading

import cv2
import numpy as np
import pytest
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.evaluation.closed_loop import rollout
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.benchmark import load_benchmark
from dial_core.evaluation.closed_loop.environment_client import EnvironmentProcess
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import EpisodeJob, run_episode
from dial_core.evaluation.closed_loop.suites import suite_protocol
from dial_core.inference.policy_server import PolicyServer
from dial_core.inference.system2_session import System2Session
from dial_core.release.importing import import_release
from dial_core.robot.kinematics import ForwardKinematics

from ..stand_in_benchmark import stand_in_benchmark
from .test_importing import BASE, GR1, WIDTHS, block, release  # noqa: F401  # a fixture

CHUNK = 5  # the tiny release's horizon
GROUPS = ("right_arm", "right_hand", "left_arm", "left_hand", "waist")


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A suite whose environment is the stand-in, in a server of this interpreter, under the authors' protocol with chunks of 5 steps."""
    original = load_benchmark("robocasa_gr1").protocols["authors"].model_dump()
    authors = original | {"execute_steps": CHUNK, "system2_period_steps": CHUNK}
    with stand_in_benchmark(tmp_path, monkeypatch, ["AtEight"], max_steps=2 * CHUNK, protocols={"authors": authors}):
        yield "stand_in"
    for arena in rollout._arenas.values():
        arena.close()
    rollout._arenas.clear()
    rollout._policies.clear()


@pytest.fixture
def conversation(monkeypatch):
    """Every call to the server: its name, what it was given, and what it answered."""
    calls: list[tuple] = []
    plain = EnvironmentProcess.call

    def call(self, name, arrays=None, **values):
        answer, result = plain(self, name, arrays, **values)
        calls.append((name, arrays, result))
        return answer, result

    monkeypatch.setattr(EnvironmentProcess, "call", call)
    return calls


def encoded_state(seen: dict[str, np.ndarray]) -> torch.Tensor:
    """The model's state (1, 80) by hand: right before left, in the world, hands as the environment has them, sine and cosine, 4 zeros."""
    joints = np.zeros(29)
    for place, group in ((slice(7), "left_arm"), (slice(7, 14), "right_arm"), (slice(26, 29), "waist")):
        joints[place] = seen[f"state.{group}"]
    wrists, state = ForwardKinematics(GR1).wrist_poses(joints), []
    for side, name in ((slice(9, 18), "wrist_r_pos"), (slice(9), "wrist_l_pos")):
        position, six = wrists[side][:3], wrists[side][3:]
        in_world = np.array([2.0 - position[1], -1.0 + position[0], 0.93 + position[2]])
        state += [(in_world - block("state", name, "mean")) / block("state", name, "std")]
        state += [[-six[1], six[0], six[2], -six[4], six[3], six[5]]]
    for group in GROUPS:
        state += [np.sin(seen[f"state.{group}"]), np.cos(seen[f"state.{group}"])]
    return torch.tensor(np.concatenate([*state, np.zeros(4)]), dtype=torch.float32)[None]


def expected_actions(model, system2, seen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the environment must receive for one chunk, (5, joints) by group."""
    image = cv2.resize(np.ascontiguousarray(seen["image"][47:206, 6:249]), (56, 56), interpolation=cv2.INTER_AREA)
    foresight = system2.foresight(image, "pick the cup and place it in the drawer")
    noise = torch.tensor(np.random.default_rng(0).standard_normal((1, CHUNK, 50)), dtype=torch.float32)
    with torch.inference_mode():
        fused = model.condition(torch.from_numpy(foresight)[None], model.encode_image(torch.from_numpy(image)[None]))
        raw = model.sample_chunk(fused, encoded_state(seen), noise, embodiment_id=24, steps=4)[0, :, :47].double().numpy()
    actions, first = {}, 18
    for group in GROUPS:
        values = raw[:, first : first + WIDTHS[group]] * block("action", group, "std") + block("action", group, "mean")
        if group.endswith("hand"):  # a target beyond both hinges' limits closes them and no more
            values = np.minimum(values, [1.74, 1.74, 1.74, 1.74, 1.23, np.inf])
        actions[group], first = values, first + WIDTHS[group]
    return actions


@pytest.mark.parametrize("served", [False, True], ids=["here", "served"])
def test_the_simulator_receives_what_arithmetic_by_hand_says(served, release, suite, conversation, tmp_path):  # noqa: F811
    folder, model = release
    import_release(folder, tmp_path / "imported")
    server = PolicyServer(tmp_path / "imported")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    source = PolicySource("checkpoint", server.address if served else str(tmp_path / "imported"))
    protocol = Protocol(**suite_protocol(suite), suite=suite, tasks=("AtEight",))
    result = run_episode(EpisodeJob(protocol, source, Case("AtEight", protocol.seed)))
    server.shutdown()
    server.server_close()
    assert (result.steps, result.judged, result.success) == (2 * CHUNK, 2, False)

    steps = [arrays for name, arrays, _ in conversation if name == "step"]
    observed = [answer for name, _, answer in conversation if name in ("reset", "look")]
    assert len(steps) == 2 * CHUNK
    system2 = System2Session(load_checkpoint(tmp_path / "imported"))
    for chunk in range(2):
        np.testing.assert_array_equal(observed[chunk]["base"], BASE)
        expected = expected_actions(model, system2, observed[chunk])
        for group in GROUPS:
            received = [step[f"action.{group}"] for step in steps[chunk * CHUNK : (chunk + 1) * CHUNK]]
            np.testing.assert_allclose(received, expected[group], atol=5e-5, err_msg=f"{group} of chunk {chunk}")
