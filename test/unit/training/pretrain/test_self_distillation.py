"""DINOv2's objective at toy size: what each part does, and that a run of it learns, resumes and leaves a tower that DIAL-DINO takes."""

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from dial_core.errors import DialError
from dial_core.model.configuration import DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.pretrained import load_view_encoder
from dial_core.training.optimisation import Optimisation
from dial_core.training.pretrain.crops import block_masks, random_crops
from dial_core.training.pretrain.self_distillation import Distillation, SelfDistillation, sinkhorn
from dial_core.training.pretrain.view_encoder_pretraining import (
    EncoderRecipe,
    MultiCrop,
    named_by_a_linear_probe,
    pretrain_view_encoder,
)
from dial_core.training.pretrain.views import Views, save_shard

SMALL = Distillation(prototypes=8, head_width=16, bottleneck=8)
TINY_STEPS = Optimisation(steps=2, batch_size=2, learning_rate=1e-3)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def small_tower() -> Dinov2Model:
    torch.manual_seed(0)
    return Dinov2Model(Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=8, image_size=32))


def inputs(count: int = 4) -> dict[str, torch.Tensor]:
    pixels = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator())
    crops = [random_crops(pixels, side, (0.3, 1.0), generator().manual_seed(side)) for side in (32, 33, 16)]
    return {
        "global_crops": torch.stack([crops[0], crops[1][..., :32, :32]]),
        "local_crops": crops[2][None],
        "hidden": torch.cat([block_masks(count, 4, (0.2, 0.5), generator()) for _ in range(2)]),
    }


def test_a_crop_of_everything_is_the_image_but_for_mirror_and_colour():
    pixels = torch.full((3, 16, 16, 3), 100, dtype=torch.uint8)
    crops = random_crops(pixels, 16, (1.0, 1.0), generator())
    assert crops.shape == (3, 3, 16, 16)
    assert torch.allclose(crops, crops.mean((2, 3), keepdim=True).expand_as(crops), atol=1e-5)  # a plain image stays plain


def test_a_small_crop_shows_a_small_part():
    ramp = torch.arange(64, dtype=torch.uint8).repeat(64, 1)[None, :, :, None].repeat(8, 1, 1, 3)
    crops = random_crops(ramp, 32, (0.05, 0.05), generator())
    whole = random_crops(ramp, 32, (1.0, 1.0), generator())
    assert (crops.amax((1, 2, 3)) - crops.amin((1, 2, 3))).max() < 0.6 * (whole.amax((1, 2, 3)) - whole.amin((1, 2, 3))).max()


def test_masks_hide_the_share_asked_for_in_the_first_half_only():
    masks = block_masks(10, 12, (0.3, 0.3), generator())
    assert not masks[5:].any()
    assert all(0.3 * 144 <= mask.sum() < 144 for mask in masks[:5])


def test_sinkhorn_uses_every_prototype_as_much():
    answers = sinkhorn(torch.randn(64, 8, generator=generator()) * 0.05, 0.05, iterations=50)
    assert torch.allclose(answers.sum(1), torch.ones(64), atol=1e-5)
    assert torch.allclose(answers.sum(0), torch.full((8,), 8.0), atol=1e-2)


def test_the_student_learns_and_the_teacher_follows_without_gradient():
    model = SelfDistillation(small_tower(), SMALL, steps=10)
    before = [value.clone() for value in model.teacher.parameters()]
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # the teacher first moves at the step after
        model(**inputs()).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert all(value.grad is None for value in model.teacher.parameters())
    moved = [not torch.equal(old, new) for old, new in zip(before, model.teacher.parameters(), strict=True)]
    assert any(moved)
    far = max((s - b).abs().max() for s, b in zip(model.student.parameters(), before, strict=True))
    near = max((t - b).abs().max() for t, b in zip(model.teacher.parameters(), before, strict=True))
    assert near < 0.02 * far  # momentum 0.992


def test_what_the_student_says_of_seen_patches_costs_nothing():
    model, batch = SelfDistillation(small_tower(), SMALL, steps=10), inputs()
    assert model(**batch | {"hidden": torch.zeros_like(batch["hidden"])}).patch_loss == 0
    assert model(**batch).patch_loss > 0


def test_evaluation_moves_no_teacher():
    model = SelfDistillation(small_tower(), SMALL, steps=10).eval()
    model(**inputs())
    assert model.step == 0


def test_equal_sample_numbers_give_equal_crops():
    collate = MultiCrop(EncoderRecipe(model="dial_tiny_dino", held_out=1, optimisation=TINY_STEPS))
    items = [(7, np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))] * 2
    first, again = collate(items), collate(items)
    other = collate([(8, image) for _, image in items])
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["global_crops"], other["global_crops"])


def views(count: int) -> Views:
    """Red things above, blue things below, on grey."""
    images = np.full((count, 96, 96, 3), 128, np.uint8)
    images[:, 20:44, 40:64] = (220, 30, 30)
    images[:, 60:84, 40:64] = (30, 30, 220)
    return Views(images, np.tile(np.array([[52.0, 32.0], [52.0, 72.0]], np.float32), (count, 1, 1)), ["can", "plate"], ["T"] * count)


def test_the_probe_names_what_looks_different():
    tower = Dinov2Model(Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, patch_size=8, image_size=96))
    share, things = named_by_a_linear_probe(tower, views(4), views(2))
    assert (share, things) == (1.0, 4)


def test_a_run_leaves_a_tower_that_dial_dino_takes(tmp_path):
    (tmp_path / "views").mkdir()
    save_shard(tmp_path / "views" / "a.npz", views(6))
    recipe = EncoderRecipe(model="dial_tiny_dino", held_out=2, local_crops=1, distillation=SMALL, optimisation=TINY_STEPS)
    report = pretrain_view_encoder(recipe, tmp_path / "views", tmp_path / "out", "dial pretrain-encoder")
    assert report["things"] == 4
    model = DialModel(DialConfig.from_preset("dial_tiny_dino"))
    random = model.view_encoder.tower.embeddings.cls_token.clone()
    load_view_encoder(model, tmp_path / "out" / "tower")
    assert not torch.equal(model.view_encoder.tower.embeddings.cls_token, random)
    assert "dial pretrain-encoder" in (tmp_path / "out" / "tower" / "README.md").read_text()
    again = pretrain_view_encoder(recipe, tmp_path / "views", tmp_path / "out", "dial pretrain-encoder")  # nothing left to train
    assert again == report


def test_a_preset_without_a_view_encoder_is_refused():
    with pytest.raises(DialError, match="dial_tiny has no view encoder"):
        EncoderRecipe(model="dial_tiny", held_out=1, optimisation=TINY_STEPS).arch  # noqa: B018
