import numpy as np

from dial_core.sim.random_views import random_view

NAMES = {"can", "bottle", "cup", "milk", "plate", "placemat", "palm", "thumb"}


def test_random_views_name_every_kind_of_thing_inside_the_picture(world):
    rng = np.random.default_rng(0)
    seen: set[str] = set()
    for _ in range(40):
        image, annotations = random_view(world, rng)
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8
        assert set(annotations) <= NAMES
        assert all(0 <= x <= 96 and 0 <= y <= 96 for x, y in annotations.values())
        seen |= set(annotations)
    assert seen == NAMES


def test_the_same_generator_gives_the_same_views(world):
    views = [[random_view(world, np.random.default_rng(3)) for _ in range(2)] for _ in range(2)]
    for (image, annotations), (again, same) in zip(*views, strict=True):
        np.testing.assert_array_equal(image, again)
        assert annotations == same


def test_an_annotated_object_has_its_colour_at_its_place(world):
    world.reset(0)
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(50):
        image, annotations = random_view(world, rng)
        if "can" in annotations:
            x, y = (round(value) for value in annotations["can"])
            patch = image[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].astype(int)
            red = (patch[..., 0] > 1.8 * patch[..., 1]) & (patch[..., 0] > 1.8 * patch[..., 2])
            checked += 1
            assert red.any()
    assert checked >= 5
