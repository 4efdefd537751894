import pytest
import torch
from transformers import Qwen2VLImageProcessor

from dial_core.errors import DialError
from dial_core.model.backbone import build_backbone
from dial_core.model.configuration import DialConfig
from dial_core.model.vision import VisionEncoder, patchify


def random_images(count: int, size: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def processed(images: torch.Tensor, patch_size: int) -> torch.Tensor:
    """What Qwen's own image processor makes of the images: (B, L, 3 * 2 * patch_size^2)."""
    side = images.shape[1]
    processor = Qwen2VLImageProcessor(
        patch_size=patch_size, merge_size=2, temporal_patch_size=2, size={"shortest_edge": side**2, "longest_edge": side**2}
    )
    out = processor(images=[image.permute(2, 0, 1) for image in images], return_tensors="pt")
    assert out["image_grid_thw"].tolist() == [[1, side // patch_size, side // patch_size]] * len(images)
    return out["pixel_values"].view(len(images), -1, 6 * patch_size**2)


def test_patches_are_those_of_the_qwen_image_processor():
    images = random_images(2, 96)
    expected = processed(images, patch_size=8)
    ours = patchify(images, patch_size=8, merge=2).unflatten(-1, (3, 1, 8, 8)).expand(-1, -1, -1, 2, -1, -1).flatten(2)
    torch.testing.assert_close(ours, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("full_blocks", "window_px"), [((0, 1), 32), ((1,), 32), ((0,), 64)], ids=["full attention", "equal windows", "windows of two sizes"]
)
def test_batched_encoding_equals_transformers_packed_encoding(make_architecture, full_blocks, window_px):
    arch = make_architecture(image={"height": 96, "width": 96})
    vision = arch.vision.model_copy(update={"full_attention_blocks": full_blocks, "window_size": window_px})
    arch = arch.model_copy(update={"vision": vision})
    torch.manual_seed(0)
    visual = build_backbone(arch).visual
    images = random_images(3, 96)
    patches = processed(images, patch_size=8)
    encoder = VisionEncoder(arch)
    with torch.no_grad():
        expected = visual(patches.flatten(0, 1), torch.tensor([[1, 12, 12]] * 3)).pooler_output.view(3, 36, -1)
        torch.testing.assert_close(encoder.tokens(visual, images), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(encoder.patch_tokens(visual, patches), expected, atol=1e-5, rtol=1e-4)


def test_the_full_size_needs_no_mask_in_any_block():
    encoder = VisionEncoder(DialConfig.from_preset("qwen2_5_vl_3b").arch)
    assert (encoder.windows, encoder.window_mask) == (4, None)


def test_windows_matter(make_architecture):
    arch = make_architecture(image={"height": 96, "width": 96})
    torch.manual_seed(0)
    visual = build_backbone(arch).visual
    windowed = arch.model_copy(update={"vision": arch.vision.model_copy(update={"full_attention_blocks": (), "window_size": 32})})
    images = random_images(1, 96)
    with torch.no_grad():
        difference = VisionEncoder(arch).tokens(visual, images) - VisionEncoder(windowed).tokens(visual, images)
    assert difference.abs().max() > 3e-4


def test_an_image_encodes_the_same_alone_and_in_a_batch(small_model):
    images = random_images(3, 32)
    together = small_model.encode_image(images)
    torch.testing.assert_close(small_model.encode_image(images[1:2])[0], together[1], atol=1e-5, rtol=1e-5)


def test_encoding_works_in_training_after_it_ran_in_inference_mode(small_model):
    small_model.set_trainable("pretrain")
    with torch.inference_mode():
        small_model.encode_image(random_images(1, 32))
    small_model.vision_tokens(random_images(1, 32)).sum().backward()
    assert small_model.backbone.visual.patch_embed.proj.weight.grad is not None


@pytest.mark.parametrize("wrong", [torch.zeros(1, 32, 32, 3), torch.zeros(1, 48, 32, 3, dtype=torch.uint8)], ids=["float", "size"])
def test_wrong_images_are_refused_with_what_was_expected(small_model, wrong):
    with pytest.raises(DialError, match=r"uint8 \(B, 32, 32, 3\)"):
        small_model.encode_image(wrong)
