"""Vectors on their way from a dataset into the loss and from a prediction back to joint targets, in our layout and in the release's.

pytest test/unit/training/test_trained_vectors.py
"""

import numpy as np
import pytest
import torch
import yaml

from dial_core.checkpoint.checkpoint import load_checkpoint, make_random_checkpoint
from dial_core.config import load_config, validate
from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import Episode, save_episode
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.model.prompt import Prompter
from dial_core.robot.embodiment import load_embodiment
from dial_core.robot.kinematics import ForwardKinematics
from dial_core.robot.vector_layout import OURS, BasePose, load_layout
from dial_core.training.mapped_dataset import MappedDataset
from dial_core.training.normalisers import choose_normalisers
from dial_core.training.recipe import Recipe
from dial_core.training.samples import ChunkSamples, Variety
from dial_core.training.stages import make_streams, open_sources, train
from dial_core.training.trained_vectors import trained_layout, trained_vectors

GR1 = load_embodiment("gr1")
# Where the base stands in the scenes of two episodes: (2, -1), 0.93 m up, facing +y; and 5 cm further, facing +x.
BASES = (
    {"position": (2.0, -1.0, 0.93), "quaternion": (0.5**0.5, 0.0, 0.0, 0.5**0.5)},
    {"position": (2.05, -1.0, 0.88), "quaternion": (1.0, 0.0, 0.0, 0.0)},
)
LENGTHS = (24, 20)
FINGER = GR1.joint_names.index("R_index_proximal_joint")


def moving_dataset(folder, bases=BASES) -> MappedDataset:
    """Two episodes in which every joint moves within its limits, with the poses of the wrists that go with it."""
    rng, forward, paths = np.random.default_rng(0), ForwardKinematics(GR1), []
    for number, length in enumerate(LENGTHS):
        share = rng.uniform(0.2, 0.4, 29) + rng.uniform(0.1, 0.5, 29) * np.linspace(0, 1, length + 1)[:, None]
        joints = GR1.lower + share * (GR1.upper - GR1.lower)
        vectors = np.concatenate([forward.wrist_poses(joints), joints], 1).astype(np.float32)
        frames = np.full((length, 96, 96, 3), 60 + 40 * number, np.uint8)
        facts = {"base": bases[number]} if bases else {}
        paths.append(folder.with_name("attempts") / f"{number}.npz")
        save_episode(paths[-1], Episode(frames, vectors[:-1], vectors[1:], "put the can on the plate", number, facts), 20.0)
    write_dataset(folder, paths, GR1, (96, 96))
    return MappedDataset(folder)


def recipe(**values) -> Recipe:
    plan = {"steps": 1, "batch_size": 2, "learning_rate": 1e-4, "log_period_steps": 1}
    whole = {"embodiment": "gr1", "stages": [{"stage": "end_to_end", "optimisation": plan}], **values}
    return validate(Recipe, whole, "test")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start") / "dial_tiny"
    make_random_checkpoint(folder)
    return folder


@pytest.mark.parametrize("layout", ["ours", "released"])
def test_a_set_point_is_followed_into_the_loss_and_back_to_joint_targets(layout, start, tmp_path):
    plan, folders = recipe(layout=layout), {"robot": moving_dataset(tmp_path / "data").folder}
    trained = load_checkpoint(train(plan, start, folders, tmp_path / "out", 0, "dial train"))
    assert trained.contract.layout == load_layout(layout), "the contract says in which layout its weights answer"

    datasets = open_sources(plan, folders)
    (stream,), normaliser = make_streams(plan, plan.stages[0], datasets, load_checkpoint(start), start, 0)
    prompter, arch = Prompter(trained.tokenizer, trained.model.arch.foresight_tokens), trained.model.arch
    samples = ChunkSamples([stream], {"robot": 1.0}, prompter, "end_to_end", arch, Variety(), 0)
    for row, base in ((3, BASES[0]), (LENGTHS[0] + 2, BASES[1])):
        sample, recorded = samples.sample(0, row, np.random.default_rng(0)), datasets["robot"].actions[row : row + 16]
        # Into the loss: the set-point of a finger, by hand. Ours is the sum of two hinges, the release's the target of both.
        place = 18 + FINGER if layout == "ours" else 18 + 7 + 3
        target = recorded[:, 18 + FINGER]
        target = target if layout == "ours" else np.where(target <= 2 * 1.57, target / 2, target - 1.57)
        expected = (target - normaliser.action_mean[place]) / normaliser.action_std[place]
        np.testing.assert_allclose(sample["action"][0, :, place], expected, atol=1e-5)
        # The height of the right wrist: in the base, or in the world.
        place = 11 if layout == "ours" else 2
        height = datasets["robot"].states[row, 11] + (0 if layout == "ours" else base["position"][2])
        assert sample["state"][0, place] == pytest.approx((height - normaliser.state_mean[place]) / normaliser.state_std[place], abs=1e-4)
        # And back, as a session does it with the trained checkpoint: the recorded set-points again.
        standing = validate(BasePose, base, "test").matrix
        np.testing.assert_allclose(trained.rim.decode_action(sample["action"][0].numpy(), standing), recorded, atol=2e-5)
        np.testing.assert_allclose(trained.rim.encode_state(datasets["robot"].states[row], standing), sample["state"][0], atol=1e-4)


def test_statistics_are_of_the_converted_vectors_and_sines_go_by_the_layouts_groups(start, tmp_path):
    dataset = moving_dataset(tmp_path / "data")
    plan = recipe(layout="released", state_encoding="sin_cos")
    vectors = trained_vectors(plan, {"robot": dataset}, load_layout("released"))["robot"]
    normaliser = choose_normalisers(plan, {"robot": vectors}, load_checkpoint(start), load_layout("released"))["robot"]
    assert normaliser.parts == (7, 6, 7, 6, 3)
    heights = dataset.states[:, 11] + np.repeat([0.93, 0.88], LENGTHS)
    assert normaliser.state_mean[2] == pytest.approx(heights.mean(), abs=1e-5)
    assert normaliser.state_std[2] == pytest.approx(heights.std(), abs=1e-5)


def test_a_run_keeps_the_layout_of_its_start_and_the_base_that_is_known(start):
    contract, standing = load_checkpoint(start).contract, BasePose(position=(0, 0, 1))
    imported = contract.model_copy(update={"layout": load_layout("released").model_copy(update={"base": standing})})
    assert trained_layout(recipe(), contract) == OURS
    assert trained_layout(recipe(), imported) == imported.layout
    assert trained_layout(recipe(layout="released"), imported).base == standing
    assert trained_layout(recipe(layout="ours"), imported) == OURS
    other = {"position": (1, 2, 3)}
    assert trained_layout(recipe(base=other), imported).base == BasePose(position=(1, 2, 3))
    with pytest.raises(DialError, match=r"wrists of layout 'ours' stand in its base; leave `base` out"):
        trained_layout(recipe(base=other), contract)


def test_where_nothing_says_how_the_robot_stood_the_next_step_is_named(tmp_path):
    dataset = moving_dataset(tmp_path / "data", bases=None)
    plan = recipe(layout="released")
    with pytest.raises(DialError, match=r"nothing says where the robot's base stood in episode 0; give the recipe `base: "):
        trained_vectors(plan, {"robot": dataset}, load_layout("released"))
    standing = load_layout("released").model_copy(update={"base": BasePose(position=(0, 0, 1))})
    states = trained_vectors(plan, {"robot": dataset}, standing)["robot"].states
    np.testing.assert_allclose(states[np.array([5])][0, 2], dataset.states[5, 11] + 1, atol=1e-6)


def test_wrists_alone_and_their_masks_have_the_layouts_order(tmp_path):
    dataset = moving_dataset(tmp_path / "data")
    dataset.action_mask = np.ones_like(dataset.actions)
    dataset.action_mask[:, :9] = 0.0  # the left hand was not seen
    plan = recipe(layout="released", sources={"human": {"slot": "gr1", "human": True, "dimensions": "eef"}})
    human = trained_vectors(plan, {"human": dataset}, load_layout("released"))["human"]
    rows = np.array([[3, 4], [30, 31]])
    assert human.states[rows].shape == (2, 2, 18)
    np.testing.assert_allclose(human.states[rows][1, :, :2], dataset.states[[30, 31], 9:11] + [2.05, -1.0], atol=1e-6)
    assert human.action_mask is not None
    assert human.action_mask[rows][0, 0].tolist() == [1.0] * 9 + [0.0] * 9
    whole = trained_vectors(recipe(), {"robot": dataset}, load_layout("released"))["robot"]
    assert whole.action_mask is not None
    assert whole.action_mask[np.array([0])][0].tolist() == [1.0] * 9 + [0.0] * 9 + [1.0] * 29


def test_the_contracts_slot_is_the_one_that_was_trained(tmp_path):
    """A model whose slots begin with others, as the release's: the robot's own is trained, and sessions must use it."""
    values = load_config(Architecture, "models", "dial_tiny").model_dump(mode="json") | {"embodiments": ["slot_0", "slot_1", "gr1"]}
    (tmp_path / "three_slots.yaml").write_text(yaml.safe_dump(values))
    contract = make_random_checkpoint(tmp_path / "start", preset=str(tmp_path / "three_slots.yaml"))
    assert contract.slot == 2
    folder = train(recipe(), tmp_path / "start", {"robot": moving_dataset(tmp_path / "data").folder}, tmp_path / "out", 0, "dial train")
    before, after = load_checkpoint(tmp_path / "start"), load_checkpoint(folder)
    head = "system1.action_head.layer2.weight"
    moved = [not torch.equal(*pair) for pair in zip(before.model.state_dict()[head], after.model.state_dict()[head], strict=True)]
    assert (after.contract.slot, moved) == (2, [False, False, True])
