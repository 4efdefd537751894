"""The schema of `config/training/*.yaml`: data sources, training stages in order, and the paper's two ablation switches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from dial_core.config import Config
from dial_core.datasets.normalisation import Kind
from dial_core.model.normalise import StateEncoding
from dial_core.observation.camera_view import Box, Fit, SeenCamera
from dial_core.robot.embodiment import EEF_DIM, load_embodiment
from dial_core.robot.vector_layout import BasePose
from dial_core.training.augmentation import ImageAugmentation
from dial_core.training.early_steps import Beginnings
from dial_core.training.optimisation import Optimisation
from dial_core.training.samples import Variety
from dial_core.training.wrist_axes import AS_RECORDED, WristAxes, axes_of, column_map

ROBOT = "robot"  # the source that a plain `--dataset FOLDER` is


class DataSource(Config):
    """One kind of data; `--dataset NAME=FOLDER` says where it lies.

    `slot` is the embodiment's set of encoders and head in the model, which several sources may share: people and the robot do, in the
    paper and in the release. `dimensions: eef` keeps the two wrist poses (18) and masks the rest, as for human hands (Sec. 4.1).

    Attributes:
        rate_hz: of its frames [Hz], where that is not the robot's control rate: the release takes people's videos at 30 Hz as they are,
            so that a chunk of 16 steps is 0.53 s of their motion.
        wrist_axes: the axes of both wrist frames in terms of the recorded ones, such as [y, -x, z]: how a hand's frame becomes the
            robot's; or of each, {left: [x, -y, -z], right: [-x, -y, z]}.
        crop, fit: how the frames of a camera that is not the robot's are seen (`SeenCamera`).
    """

    slot: str
    human: bool = False
    dimensions: Literal["all", "eef"] = "all"
    rate_hz: float | None = Field(default=None, gt=0)
    wrist_axes: WristAxes = AS_RECORDED
    crop: Box | None = None
    fit: Fit = "crop"

    @model_validator(mode="after")
    def _right_handed(self) -> Self:
        for axes in axes_of(self.wrist_axes):
            column_map(axes)
        return self

    @property
    def statistics(self) -> tuple[str, bool, str]:
        """Sources of equal value are of one kind and share one normaliser; sharing a slot is not enough."""
        return self.slot, self.human, self.dimensions

    @property
    def vector(self) -> slice:
        """Which dimensions of the dataset's vectors count."""
        return slice(0, EEF_DIM) if self.dimensions == "eef" else slice(None)


def _robot_alone() -> dict[str, float | Literal["frames"]]:
    return {ROBOT: 1.0}


class TrainingStage(Config):
    """One stage: `warmup` (System-1 sees the true goal) or `end_to_end` (System-1 sees the foresight).

    A batch is `optimisation.batch_size` foresights with `chunks_per_foresight` chunks each, drawn from the sources by the
    weights of `mixture` (shares of the samples, or `frames`: of each source in proportion to its frames; all from the robot if it is
    absent). For each chunk noise and tau are drawn `flow_draws` times. `beginnings` oversamples the first steps of episodes.
    """

    name: str = Field(default="", pattern=r"^[\w-]*$")  # of its folder; the stage's kind if empty
    stage: Literal["warmup", "end_to_end"]
    mixture: dict[str, float | Literal["frames"]] = Field(default_factory=_robot_alone)
    chunks_per_foresight: int = Field(default=1, gt=0)
    max_foresight_age_steps: int = Field(default=0, ge=0)  # [control steps]
    state_noise: float = Field(default=0.0, ge=0)  # of the normalised state
    flow_draws: int = Field(default=1, gt=0)
    beginnings: Beginnings | None = None
    optimisation: Optimisation

    def weights(self, frames: Mapping[str, int]) -> dict[str, float]:
        """Relative number of samples from each source, of which there are so many frames."""
        return {name: float(frames[name] if weight == "frames" else weight) for name, weight in self.mixture.items()}

    @property
    def decodings(self) -> int:
        """Passes of the decoder for each foresight of a batch."""
        return self.chunks_per_foresight * self.flow_draws

    @property
    def variety(self) -> Variety:
        """What its samples add to the recorded frames."""
        return Variety(self.chunks_per_foresight, self.max_foresight_age_steps, self.state_noise, self.flow_draws)


class Recipe(Config):
    """A training recipe, as `dial train` runs it.

    Attributes:
        embodiment: the robot that the checkpoint is for; its slot's normaliser goes into the checkpoint.
        model: preset in `config/models/` to begin with, where no `--start` checkpoint is given.
        sources: the data by name.
        cameras: what the model sees: first the camera of both systems, then those that System-1 sees beside it. Goes into the
            checkpoint's contract. None: as in the contract of the checkpoint that training starts from.
        images: `cached` trains on the frozen vision tower's tokens, computed once (no augmentation); `pixels` decodes and encodes
            in every step.
        augmentation: of pixels; one random appearance for all frames of a sample and camera.
        normalisation: how vectors become unit-free (`datasets/normalisation.py`).
        layout: order, frame and units of the model's own vectors, a name of `config/layouts/` or a path; data are converted before
            statistics are computed. None: as the checkpoint that training starts from, which is `ours` unless it was imported.
        base: pose of the robot's base in the world, for a layout whose wrists stand there; an episode's own (its fact `base`) comes first.
        state_encoding: `raw`, or `sin_cos`: the joints of the state enter as sine and cosine, as in the release.
        statistics: `recomputed` from this run's data, or `reused`: the robot's slot keeps those of the start, as fine-tuning wants.
        warmup: off trains the warmup stages end to end too, for the same number of steps at the same rates (the paper's ablation).
        human_data: off leaves human sources out of every mixture.
    """

    embodiment: str
    model: str | None = None
    sources: dict[str, DataSource] = Field(default_factory=dict)
    cameras: tuple[SeenCamera, ...] = ()
    images: Literal["cached", "pixels"] = "cached"
    augmentation: ImageAugmentation = ImageAugmentation()
    layout: str | None = None
    base: BasePose | None = None
    normalisation: Kind = "mean_std"
    state_encoding: StateEncoding = "raw"
    statistics: Literal["recomputed", "reused"] = "recomputed"
    warmup: bool = True
    human_data: bool = True
    stages: list[TrainingStage] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {ROBOT, *self.sources}
        for number, stage in enumerate(self.stages, 1):
            if unknown := sorted(set(stage.mixture) - known):
                raise ValueError(f"stage {number}: mixture names {', '.join(unknown)}; sources: {', '.join(sorted(known))}")
            if not _can_be_drawn(stage.mixture):
                raise ValueError(f"stage {number}: shares of `mixture` must be finite, not negative and not all 0, got {stage.mixture}")
            if len({weight == "frames" for weight in stage.mixture.values()}) > 1:
                raise ValueError(f"stage {number}: mixture has shares and `frames`; give all sources the one or the other")
            if self.images == "cached" and self.augmentation != ImageAugmentation():
                raise ValueError("augmentation changes pixels: it needs `images: pixels`")
        if self.augmentation.always_crops:
            if not self.cameras:
                raise ValueError("`always_crops` changes what the robot sees too: name its cameras, `cameras: [{name: ego}]`")
            if padded := [camera.name for camera in self.cameras if camera.fit == "pad"]:
                raise ValueError(
                    f"`always_crops` would cut camera {', '.join(padded)}'s black bars in training alone; give it fit: crop or stretch"
                )
        if not self.human_data and any(not _can_be_drawn(self._without_humans(stage.mixture)) for stage in self.stages):
            raise ValueError("human_data: false leaves a stage without data")
        return self

    @property
    def slot(self) -> str:
        """The robot's own slot in the model: its name, even where `embodiment` is a file."""
        return load_embodiment(self.embodiment).name

    def source(self, name: str) -> DataSource:
        """A source by name; the robot's own is there without being listed."""
        return self.sources.get(name) or DataSource(slot=self.slot)

    def rate_of(self, name: str) -> float:
        """Frames a second of a source's data [Hz]: its own, or the robot's control rate."""
        return self.source(name).rate_hz or load_embodiment(self.embodiment).rate_hz

    @property
    def robot_statistics(self) -> tuple[str, bool, str]:
        """The kind of sources (`DataSource.statistics`) whose normaliser the checkpoint gets."""
        return DataSource(slot=self.slot).statistics

    @property
    def steps(self) -> int:
        """Of all stages together."""
        return sum(stage.optimisation.steps for stage in self.stages)

    def effective_stages(self) -> list[TrainingStage]:
        """The stages with both switches applied."""
        stages = self.stages
        if not self.human_data:
            stages = [stage.model_copy(update={"mixture": self._without_humans(stage.mixture)}) for stage in stages]
        if not self.warmup:
            stages = [stage.model_copy(update={"stage": "end_to_end"}) for stage in stages]
        return stages

    def slots(self, there: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The slots `there`, and one for the robot and every source that have none."""
        sources = [self.source(name).slot for stage in self.effective_stages() for name in stage.mixture]
        return tuple(dict.fromkeys([*there, self.slot, *sources]))

    def folder_of(self, number: int) -> str:
        """`2-end_to_end`: the folder of stage `number` (from 1) below the run's."""
        stage = self.effective_stages()[number - 1]
        return f"{number}-{stage.name or stage.stage}"

    def _without_humans(self, mixture: dict) -> dict:
        return {name: weight for name, weight in mixture.items() if not self.source(name).human}


def _can_be_drawn(mixture: Mapping[str, float | Literal["frames"]]) -> bool:
    shares = [1.0 if weight == "frames" else weight for weight in mixture.values()]
    return sum(shares) > 0 and all(math.isfinite(share) and share >= 0 for share in shares)
