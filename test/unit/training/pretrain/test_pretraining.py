"""`dial pretrain` as a whole: what it refuses before it renders a view."""

import pytest

from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.files.fingerprint import require_same
from dial_core.training.pretrain import pretraining
from dial_core.training.pretrain.pretraining import PretrainRecipe, pretrain


class RenderedError(Exception):
    """The views were asked for."""


def rendered(*_):
    raise RenderedError


def test_a_folder_that_another_recipe_began_is_refused_and_one_that_is_saved_more_often_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "render_views", rendered)
    recipe = load_config(PretrainRecipe, "training", "dial_tiny_pretrain")
    before = recipe.model_dump(mode="json")
    before["reading"]["save_period_s"] = 5.0
    require_same(tmp_path / "recipe", before)
    with pytest.raises(RenderedError):
        pretrain(recipe, tmp_path, 0, "dial pretrain")
    fewer = load_config(PretrainRecipe, "training", "dial_tiny_pretrain", ["copying.steps=50", "views=1000"])
    with pytest.raises(DialError, match=r"copying.steps was 1000, is now 50; views was 56000, is now 1000"):
        pretrain(fewer, tmp_path, 0, "dial pretrain")
