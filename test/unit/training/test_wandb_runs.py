"""Every stage is a run of Weights & Biases of its own: transformers' callback on a stand-in for the package, which is no dependency.

pytest test/unit/training/test_wandb_runs.py
"""

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from dial_core.training.optimisation import Hardware
from dial_core.training.trainer import DialTrainer

from .test_trainer import Line, train


class Run:
    """A run, with its settings and summary."""

    def __init__(self, name: str) -> None:
        self.name, self.config, self.summary = name, {}, {}

    def _label(self, code: str) -> None: ...


class StandIn(ModuleType):
    """The part of wandb that transformers' callback calls, with wandb's rules; `calls` is what reached the service."""

    __version__ = "0"

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.calls: list[tuple] = []
        self.run: Run | None = None

    def init(self, name: str, **_) -> Run:
        self.run = Run(name)
        self.calls.append(("init", os.environ.get("WANDB_RUN_GROUP"), name))  # where wandb reads a run's group
        return self.run

    @property
    def config(self) -> dict:
        return self._begun("config").config

    def define_metric(self, *_, **__) -> None:
        self._begun("define_metric")

    def log(self, values: dict) -> None:
        self.calls.append(("log", self._begun("log").name, values["train/global_step"]))

    def finish(self, exit_code: int = 0) -> None:
        self.calls.append(("finish", self._begun("finish").name, exit_code))
        self.run = None

    def _begun(self, what: str) -> Run:
        if self.run is None:
            raise RuntimeError(f"You must call wandb.init() before wandb.{what}")
        return self.run


@pytest.fixture
def wandb(monkeypatch) -> StandIn:
    module = StandIn()
    errors = ModuleType("wandb.sdk.lib.config_util")
    errors.ConfigError = type("ConfigError", (Exception,), {})
    for name, part in {"wandb": module, "wandb.sdk": None, "wandb.sdk.lib": None, "wandb.sdk.lib.config_util": errors}.items():
        monkeypatch.setitem(sys.modules, name, part or ModuleType(name))
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    return module


def train_reported(folder: Path, stop_at: int = 0) -> None:
    train(Line(stop_at=stop_at), folder, Hardware(wandb=True), steps=2)


def test_each_stage_is_a_run_of_its_own_in_the_group_of_the_runs_folder(wandb, tmp_path):
    for stage in ("1-warmup", "2-end_to_end"):
        train_reported(tmp_path / "few_shot" / stage)
    began = [call for call in wandb.calls if call[0] in ("init", "finish")]
    assert began == [
        ("init", "few_shot", "1-warmup"),
        ("finish", "1-warmup", 0),
        ("init", "few_shot", "2-end_to_end"),
        ("finish", "2-end_to_end", 0),
    ]
    for stage in ("1-warmup", "2-end_to_end"):
        assert {call[2] for call in wandb.calls if call[:2] == ("log", stage)} == {1, 2}
    assert "WANDB_RUN_GROUP" not in os.environ


def test_a_stage_that_fails_is_finished_as_failed(wandb, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train_reported(tmp_path / "few_shot/1-warmup", stop_at=2)
    assert wandb.calls[-1] == ("finish", "1-warmup", 1)
    assert wandb.run is None


def test_a_group_of_the_users_own_is_kept(wandb, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_GROUP", "shelves")
    train_reported(tmp_path / "few_shot/1-warmup")
    assert wandb.calls[0] == ("init", "shelves", "1-warmup")
    assert os.environ["WANDB_RUN_GROUP"] == "shelves"


def test_only_the_first_process_begins_and_finishes_a_run(wandb, tmp_path, monkeypatch):
    monkeypatch.setattr(DialTrainer, "is_world_process_zero", lambda _: False)
    train_reported(tmp_path / "few_shot/1-warmup")
    assert wandb.calls == []
