import numpy as np

from dial_core.sim import random_views as views_module
from dial_core.sim.appearances import find_appearances, random_appearance
from dial_core.sim.catalogue import load_object
from dial_core.sim.random_views import random_view, random_views
from dial_core.sim.scene import scene_of
from dial_core.sim.suite import Suite
from dial_core.sim.task import load_task
from dial_core.sim.world import World

NAMES = {"can", "bottle", "cup", "milk", "plate", "placemat", "palm", "thumb"}


def test_random_views_name_every_kind_of_object_inside_the_image(world):
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


def test_views_of_suites_show_their_tables_with_both_hands_and_open_fixtures():
    rows = list(random_views({"in_distribution": 1.0}, 60, seed=5))
    assert len({task for task, *_ in rows}) == 3
    seen = {name for _, _, places in rows for name in places}
    assert {"palm", "thumb"} < seen
    assert len({name for name in seen - {"palm", "thumb", "handle"} if not load_object(name).fixed}) > 6


def test_recoloured_tables_have_random_colours_in_a_pattern_of_training_and_half_of_their_things_too(monkeypatch):
    made, shown = [], []

    class WatchedWorld(World):
        def __init__(self, task):
            made.append(task)
            super().__init__(task)

        def lay_out(self, things, colour):
            shown.extend((thing, self.types[thing.type].colours) for thing in things)
            super().lay_out(things, colour)

    monkeypatch.setattr(views_module, "World", WatchedWorld)
    trained_on = {appearance.pattern for appearance in find_appearances(("training",))}

    def own_colours(recoloured):
        made.clear()
        assert all(places for _, _, places in random_views({"in_distribution": 1.0}, 40, seed=5, recoloured=recoloured))
        return np.mean([all(colour in choices[part] for part, colour in thing.colours.items()) for thing, choices in shown])

    assert own_colours(0.0) == 1.0
    assert [task.appearances for task in made] == [("training",)] * 2
    shown.clear()
    assert 0.35 < own_colours(1.0) < 0.65
    assert [appearance.name for task in made for appearance in task.appearances] == ["random"] * 2
    assert {appearance.pattern for task in made for appearance in task.appearances} <= trained_on


def test_a_table_without_an_appearance_can_be_recoloured(monkeypatch):
    plain = load_task("PlacematToPlate").model_copy(update={"appearances": ()})
    monkeypatch.setattr(views_module, "load_suite", lambda _: Suite("plain", "", (plain,)))
    assert len(list(random_views({"plain": 1.0}, 2, seed=0, recoloured=1.0))) == 2


def test_an_appearance_can_be_given_instead_of_named():
    given = random_appearance(["wood", "plain"], np.random.default_rng(0))
    task = load_task("PlacematToPlate").model_copy(update={"appearances": (given,)})
    assert scene_of(task, 3).appearance == given
    assert given.pattern in {"wood", "plain"}


def test_the_same_seed_gives_the_same_views_of_suites():
    (first, second) = (list(random_views({"in_distribution": 1.0, "unseen_object": 1.0}, 22, seed=1)) for _ in range(2))
    for (task, image, places), (same_task, same_image, same_places) in zip(first, second, strict=True):
        assert task == same_task
        np.testing.assert_array_equal(image, same_image)
        assert places == same_places
