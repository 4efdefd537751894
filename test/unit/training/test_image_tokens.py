import fcntl
import hashlib
import shutil
import threading

import numpy as np
import pytest
import torch

from dial_core.checkpoint.checkpoint import make_random_checkpoint
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.observation.camera_view import CameraView
from dial_core.training import image_tokens
from dial_core.training.image_tokens import cached_features, stored_vision_hash, vision_hash


def test_caches_are_shared_by_models_with_the_same_eyes_and_by_no_others():
    dial, seer, dino, other = (
        DialModel.from_preset(name, seed)
        for name, seed in [("dial_tiny", 0), ("dial_tiny_seer", 1), ("dial_tiny_dino", 0), ("dial_tiny", 2)]
    )
    seer.backbone.visual.load_state_dict(dial.backbone.visual.state_dict())
    dino.backbone.visual.load_state_dict(dial.backbone.visual.state_dict())
    assert vision_hash(dial) == vision_hash(seer)
    assert len({vision_hash(model) for model in (dial, dino, other)}) == 3


@pytest.mark.parametrize("preset", ["dial_tiny", "dial_tiny_dino"])
def test_caches_keep_their_names_and_finding_one_loads_no_language_model(tmp_path, monkeypatch, preset):
    make_random_checkpoint(tmp_path, preset=preset)
    model, digest = DialModel.from_pretrained(tmp_path), hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):  # as caches have been named ever since
        if "visual" in name or name.startswith("view_encoder."):
            digest.update(name.encode() + value.numpy().tobytes())
    loaded, load = [], DialModel.from_pretrained
    monkeypatch.setattr(DialModel, "from_pretrained", lambda *given: (loaded.append(given[1:]), load(*given))[1])
    assert stored_vision_hash(tmp_path) == vision_hash(model) == digest.hexdigest()[:12]
    assert loaded == ([] if preset == "dial_tiny" else [("system1",)])


def test_encoding_loads_the_towers_only_and_keeps_nothing(fake_dataset, tmp_path, monkeypatch):
    make_random_checkpoint(tmp_path / "model")
    loaded, make = [], image_tokens.ImageEncoder
    monkeypatch.setattr(image_tokens, "ImageEncoder", lambda model, compiled: (loaded.append(model.part), make(model, compiled))[1])
    cached_features(tmp_path / "model", fake_dataset(tmp_path / "dataset", (3, 4)), 0, "ego", CameraView(name="ego", height=96, width=96))
    assert loaded == ["system1"]
    assert not image_tokens._opened


def test_cached_tokens_are_those_of_the_model_for_every_frame(fake_dataset, tmp_path):
    make_random_checkpoint(tmp_path / "model", preset="dial_tiny_dino")
    dataset = fake_dataset(tmp_path / "dataset", (20, 21))
    tokens = cached_features(tmp_path / "model", dataset, 0, "ego", CameraView(name="ego", height=96, width=96))
    assert tokens.shape == (41, 36, 384)
    model = DialModel.from_pretrained(tmp_path / "model").eval()
    frames = torch.from_numpy(dataset.frames(dataset.episodes[1])[:3])
    np.testing.assert_allclose(tokens[np.arange(20, 23)], model.encode_image(frames).half().numpy(), atol=2e-3)


def test_a_training_waits_while_another_one_computes_the_same_tokens(fake_dataset, tmp_path):
    make_random_checkpoint(tmp_path / "model")
    dataset, view = fake_dataset(tmp_path / "dataset", (20,)), CameraView(name="ego", height=96, width=96)
    file = tmp_path / "dataset/features" / vision_hash(DialModel.from_pretrained(tmp_path / "model")) / "lock"
    file.parent.mkdir(parents=True)
    waiting = threading.Thread(target=cached_features, args=(tmp_path / "model", dataset, 0, "ego", view))
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(timeout=2.0)
        assert waiting.is_alive()
        assert not (file.parent / "tokens.npy").exists()
    waiting.join(timeout=60.0)
    assert (file.parent / "tokens.npy").exists()


def test_tokens_are_computed_again_where_the_frames_changed_or_became_more(fake_dataset, tmp_path):
    make_random_checkpoint(tmp_path / "model")
    view = CameraView(name="ego", height=96, width=96)
    first = cached_features(tmp_path / "model", fake_dataset(tmp_path / "dataset", (6, 7)), 0, "ego", view)[np.arange(13)]
    shutil.move(tmp_path / "dataset/features", tmp_path / "features")
    other = fake_dataset(tmp_path / "dataset", (7, 6))
    shutil.move(tmp_path / "features", other.folder / "features")
    again = cached_features(tmp_path / "model", LeRobotDataset(other.folder), 0, "ego", view)[np.arange(13)]
    model = DialModel.from_pretrained(tmp_path / "model").eval()
    frames = torch.from_numpy(other.frames(other.episodes[1]))
    np.testing.assert_allclose(again[7:], model.encode_image(frames).half().numpy(), atol=2e-3)
    assert not np.array_equal(again, first)
    shutil.move(other.folder / "features", tmp_path / "features")
    more = fake_dataset(tmp_path / "dataset", (7, 6, 8))
    shutil.move(tmp_path / "features", more.folder / "features")
    next((more.folder / "features").glob("*/frames")).unlink()  # of an earlier version, which noted nothing
    assert len(cached_features(tmp_path / "model", LeRobotDataset(more.folder), 0, "ego", view)) == 21


@pytest.mark.slow  # two processes import torch
def test_tokens_do_not_depend_on_the_number_of_workers_and_jobs(fake_dataset, tmp_path, monkeypatch):
    make_random_checkpoint(tmp_path / "model")
    dataset, view = fake_dataset(tmp_path / "dataset", (20, 21, 22)), CameraView(name="ego", height=96, width=96)
    alone = cached_features(tmp_path / "model", dataset, 0, "ego", view)[np.arange(63)]
    shutil.rmtree(tmp_path / "dataset/features")
    monkeypatch.setattr(image_tokens, "_EPISODES_PER_JOB", 2)
    shared = cached_features(tmp_path / "model", dataset, 2, "ego", view)[np.arange(63)]
    np.testing.assert_allclose(shared, alone, rtol=1e-3, atol=1e-5)


def test_only_missing_episodes_are_encoded_and_compiled_only_if_they_are_many(fake_dataset, tmp_path, monkeypatch):
    make_random_checkpoint(tmp_path / "model")
    dataset, view = fake_dataset(tmp_path / "dataset", (20, 21, 22)), CameraView(name="ego", height=96, width=96)
    monkeypatch.setattr(image_tokens, "_EPISODES_PER_JOB", 1)
    monkeypatch.setattr(image_tokens, "COMPILED_FROM_IMAGES", 43)
    done = []

    def encode(job):
        done.append((job.first_episode, job.compiled))
        if job.first_episode == 1 and len(done) == 2:
            raise RuntimeError("interrupted")

    monkeypatch.setattr(image_tokens, "encode_episodes", encode)
    with pytest.raises(DialError, match="interrupted"):
        cached_features(tmp_path / "model", dataset, 0, "ego", view)
    cached_features(tmp_path / "model", dataset, 0, "ego", view)
    assert done == [(0, True), (1, True), (1, True), (2, True)]
    monkeypatch.setattr(image_tokens, "COMPILED_FROM_IMAGES", 64)
    shutil.rmtree(tmp_path / "dataset/features")
    cached_features(tmp_path / "model", dataset, 0, "ego", view)
    assert done[-1] == (2, False)
