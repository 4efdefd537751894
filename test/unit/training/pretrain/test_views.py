import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.training.pretrain.views import Views, load_views, save_shard


def shard(names: list[str], value: int) -> Views:
    pixels = np.full((2, len(names), 2), float(value), np.float32)
    pixels[1, 0] = np.nan
    return Views(np.full((2, 8, 8, 3), value, np.uint8), pixels, names, [f"task{value}"] * 2)


def test_shards_with_different_names_become_one(tmp_path):
    save_shard(tmp_path / "a.npz", shard(["can", "plate"], 1))
    save_shard(tmp_path / "b.npz", shard(["cup", "plate"], 2))
    views = load_views(tmp_path)
    assert views.names == ["can", "cup", "plate"]
    assert views.visible(0) == {"can": (1.0, 1.0), "plate": (1.0, 1.0)}
    assert views.visible(3) == {"plate": (2.0, 2.0)}
    assert views.take(np.array([3, 0])).tasks == ["task2", "task1"]


def test_a_split_gives_each_view_once_by_the_seed_and_the_first_views_share_its_memory():
    views = Views(np.arange(10, dtype=np.uint8), np.full((10, 1, 2), np.nan, np.float32), ["can"], [f"task{k}" for k in range(10)])
    held_out, rest = views.split(3, seed=7)
    assert len(held_out) == 3
    assert sorted([*held_out.images, *rest.images]) == list(range(10))
    assert [f"task{image}" for image in rest.images] == rest.tasks
    assert np.array_equal(views.split(3, seed=7)[1].images, rest.images)
    assert rest.first(2).tasks == rest.tasks[:2]
    assert np.shares_memory(rest.first(2).images, rest.images)
    assert len(rest.first(99)) == 7


def test_no_shards_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(DialError, match=str(tmp_path)):
        load_views(tmp_path)
