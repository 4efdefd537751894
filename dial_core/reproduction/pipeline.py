"""A plan as steps: each one `dial` command, what it needs first, and what it is expected to cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from dial_core.config import Config, config_path, load_config
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.suites import suite_tasks
from dial_core.model.configuration import DialConfig
from dial_core.reproduction.pipeline_step import PipelineStep, on_their_bases
from dial_core.reproduction.plan import Demonstrations, Method, Probes, ReproductionPlan, Scenes
from dial_core.training.optimisation import Optimisation
from dial_core.training.pretrain.pretraining import PretrainRecipe
from dial_core.training.pretrain.view_encoder_pretraining import EncoderRecipe
from dial_core.training.recipe import Recipe

PROBES = 7  # evaluations that `dial probe` makes of each scene


class Pipeline:
    """All steps of a plan below the folder `out`, each after those that it needs."""

    def __init__(self, plan: ReproductionPlan, out: Path, model_id: Callable[[str], str] | None = None) -> None:
        """Builds the steps of a plan.

        Args:
            plan: what is compared.
            out: folder of everything that is made.
            model_id: returns a shipped checkpoint's model id by its name. If given, methods whose checkpoint ships are evaluated
                with it and not trained.

        Raises:
            DialError: the plan names a recipe, preset, suite or task that does not exist; and what `model_id` raises.
        """
        self.plan, self.out, self._model_id = plan, out, model_id
        shipping = [name for name in plan.methods_shown() if model_id and plan.methods[name].shipped]
        self.shipped = {name: plan.methods[name].shipped for name in shipping}
        self._model_ids = {name: model_id(checkpoint) for name, checkpoint in self.shipped.items()} if model_id else {}
        trained = {name: plan.methods[name] for name in plan.methods_shown() if name not in self.shipped}
        steps = [self._pretraining()] if trained else []
        if any(_has_second_tower(method.model) for method in trained.values()):
            steps.append(self._view_encoder())
        for name, data in plan.demonstrations.items():
            if any(name in method.data.values() for method in trained.values()):
                steps += self._demonstrations(name, data)
        encoding: dict[str, str] = {}  # dataset -> the step that encodes it last
        for name, method in trained.items():
            steps += [self._start(name, method), self._image_tokens(name, method, encoding), self._training(name, method)]
        steps += [self._evaluation(method, name, plan.scenes[name]) for method, name in plan.evaluations()]
        for section in plan.sections:
            if isinstance(section, Probes):
                steps += self._probes(section)
        self.steps = on_their_bases(steps)

    def chosen(self, only: Sequence[str]) -> list[PipelineStep]:
        """The steps that `only` names, with all that they need, in order; all steps without it.

        A name is a step, the beginning of steps (`eval`, `eval/flare`), a method (everything that is measured of it), or scenes (everything
        that is measured on them).

        Raises:
            DialError: a name fits nothing; the message lists what there is.
        """
        if not only:
            return list(self.steps.values())
        wanted: set[str] = set()
        for name in only:
            fitting = [step for step in self.steps if step == name or step.startswith(f"{name}/") or self._measures(step, name)]
            if not fitting:
                methods, scenes = ", ".join(self.plan.methods_shown()), ", ".join(self.plan.scenes)
                raise DialError(f"--only {name} fits no step; methods: {methods}; scenes: {scenes}; steps: {', '.join(self.steps)}")
            wanted.update(fitting)
        while further := {need for name in wanted for need in self.steps[name].rests_on} - wanted:
            wanted |= further
        return [step for name, step in self.steps.items() if name in wanted]

    def in_folder(self, out: Path) -> Pipeline:
        """The same plan in another folder."""
        return Pipeline(self.plan, out, self._model_id)

    def result(self, method: str, scenes: str) -> Path:
        """Folder of an evaluation's result."""
        return self.out / "eval" / method / scenes

    def study(self, kind: str, section: Probes) -> Path:
        """Folder of `probe` or `foresight` of a section."""
        return self.out / kind / section.method / section.scenes

    def _measures(self, step: str, name: str) -> bool:
        kind, *measured = step.split("/")
        return kind in ("eval", "probe", "foresight") and name in measured

    def _pretraining(self) -> PipelineStep:
        recipe, costs = load_config(PretrainRecipe, "training", self.plan.pretraining.recipe), self.plan.costs
        seeing, reading = recipe.optimisation, recipe.reading
        core_s = (
            recipe.views * costs.view
            + seeing.steps * seeing.batch_size * costs.seeing_sample
            + reading.steps * reading.batch_size * costs.reading_sample
            + sum(part.steps * part.batch_size for part in (recipe.pointing, recipe.copying)) * costs.query_sample
        )
        out, precision = self.out / "pretrain", _precision([seeing, reading, recipe.pointing, recipe.copying])
        words = ("pretrain", "--recipe", self.plan.pretraining.recipe, "--out", str(out))
        inputs = {"recipe": _values(recipe), "model": _preset(recipe.model)}
        return PipelineStep("pretrain", words, (), inputs, core_s, parallel=True, trains=True, trained_in=out, precision=precision)

    def _view_encoder(self) -> PipelineStep:
        """DINOv2's stand-in for the methods with the bridge `dino`, on the views of pretraining."""
        name = self.plan.pretraining.view_encoder
        recipe = load_config(EncoderRecipe, "training", name)
        core_s = recipe.optimisation.steps * recipe.optimisation.batch_size * self.plan.costs.encoder_sample
        words = ("pretrain-encoder", "--recipe", name, "--views", str(self.out / "pretrain" / "views"), "--out", str(self.out / "encoder"))
        inputs = {"recipe": _values(recipe), "model": _preset(recipe.model)}
        precision = _precision([recipe.optimisation])
        return PipelineStep("encoder", words, ("pretrain",), inputs, core_s, trained_in=self.out / "encoder", precision=precision)

    @property
    def _backbone(self) -> Path:
        return self.out / "pretrain" / "checkpoint"

    def _dataset(self, name: str) -> Path:
        return self.out / "demonstrations" / name

    def _demonstrations(self, name: str, data: Demonstrations) -> list[PipelineStep]:
        folder, tasks = self._dataset(name), data.tasks or suite_tasks(data.suite)
        cost_s = data.episodes * self.plan.costs.demonstration
        if data.body == "robot":
            chosen = [word for task in data.tasks for word in ("--task", task)] or ["--suite", data.suite]
            amount: tuple[str, ...] = ("--episodes", str(data.episodes), "--seed", str(data.seed), "--disturbed", f"{data.disturbed:g}")
            shares = {"changed": data.changed or None, "missed": data.missed or None, "two-objects": data.two_objects}
            amount += tuple(word for option, share in shares.items() if share is not None for word in (f"--{option}", f"{share:g}"))
            words = ("collect", *chosen, *amount, "--image-size", str(data.image_px), "--out", str(folder))
            return [PipelineStep(f"demonstrations/{name}", words, (), {}, len(tasks) * cost_s, parallel=True, product=folder)]
        parts = []
        for task in tasks:
            part = self.out / "hands" / name / task
            words = ("data", "human", str(part), "--task", task, "--episodes", str(data.episodes), "--seed", str(data.seed))
            parts.append(PipelineStep(f"hands/{name}/{task}", words, (), {}, cost_s, parallel=True, product=part))
        merged = ("data", "merge", *(part.words[2] for part in parts), str(folder))
        return [*parts, PipelineStep(f"demonstrations/{name}", merged, tuple(part.name for part in parts), product=folder)]

    def _image_tokens(self, name: str, method: Method, encoding: dict[str, str]) -> PipelineStep:
        """Image tokens of the method's data. Methods share those of the backbone's tower, so one waits for the other."""
        step = f"tokens/{name}"
        earlier = [encoding[dataset] for dataset in method.data.values() if dataset in encoding]
        fresh = [dataset for dataset in method.data.values() if dataset not in encoding or _has_second_tower(method.model)]
        core_s = sum(self._episodes_of(self.plan.demonstrations[dataset]) for dataset in fresh) * self.plan.costs.image_tokens
        encoding.update(dict.fromkeys(method.data.values(), step))
        words = ("tokens", str(self.out / "start" / name), "--recipe", method.recipe, *self._data_words(method))
        after = tuple(dict.fromkeys(earlier))
        needs = (f"start/{name}", *(f"demonstrations/{dataset}" for dataset in method.data.values()), *after)
        return PipelineStep(step, words, needs, {}, core_s, parallel=True, after=after)

    def _start(self, name: str, method: Method) -> PipelineStep:
        words: tuple[str, ...] = ("begin", str(self._backbone), "--model", method.model, "--out", str(self.out / "start" / name))
        if method.new_names:
            new = set().union(*(self.plan.demonstrations[data].object_words for data in method.data.values()))
            words += tuple(option for word in sorted(new) for option in ("--forget", word))
        if not _has_second_tower(method.model):
            return PipelineStep(f"start/{name}", words, ("pretrain",), {"model": _preset(method.model)})
        words = (*words, "--view-encoder", str(self.out / "encoder" / "tower"))
        return PipelineStep(f"start/{name}", words, ("pretrain", "encoder"), {"model": _preset(method.model)})

    def _training(self, name: str, method: Method) -> PipelineStep:
        recipe, costs = load_config(Recipe, "training", method.recipe), self.plan.costs
        core_s = sum(
            stage.optimisation.steps
            * (
                stage.optimisation.batch_size
                * (costs.foresight + stage.chunks_per_foresight * (costs.chunk + (stage.flow_draws - 1) * costs.flow_draw))
                + costs.muon_step * (stage.optimisation.optimiser == "muon")
            )
            for stage in recipe.effective_stages()
        )
        out, precision = self.out / "train" / name, _precision([stage.optimisation for stage in recipe.effective_stages()])
        paths = ("--start", str(self.out / "start" / name), "--out", str(out))
        words = ("train", "--recipe", method.recipe, *self._data_words(method), *paths)
        inputs, needs = {"recipe": _values(recipe)}, (f"tokens/{name}",)
        return PipelineStep(f"train/{name}", words, needs, inputs, core_s, trains=True, trained_in=out, precision=precision)

    def _data_words(self, method: Method) -> list[str]:
        return [word for source, dataset in method.data.items() for word in ("--dataset", f"{source}={self._dataset(dataset)}")]

    def _evaluation(self, method: str, name: str, scenes: Scenes) -> PipelineStep:
        filmed = 1 if method == self.plan.film else 0
        policy, needs, inputs = self._policy(method)
        timing = [word for option, steps in scenes.timing.items() for word in (f"--{option}", str(steps))]
        words = ("eval", policy, *_scene_words(scenes), *timing, "--videos", str(filmed), "--out", str(self.result(method, name)))
        core_s = self._episodes(scenes) * self.plan.costs.episode
        return PipelineStep(f"eval/{method}/{name}", words, needs, inputs, core_s, parallel=True)

    def _probes(self, section: Probes) -> Iterable[PipelineStep]:
        scenes, (policy, needs, inputs) = self.plan.scenes[section.scenes], self._policy(section.method)
        scenes = scenes.model_copy(update={"tasks": scenes.tasks or suite_tasks(scenes.suite)})
        core_s = self._episodes(scenes) * self.plan.costs.episode
        for kind, factor in (("probe", PROBES), ("foresight", 1)):
            folder = self.study(kind, section)
            words = (kind, policy, *_scene_words(scenes), "--out", str(folder))
            yield PipelineStep(f"{kind}/{section.method}/{section.scenes}", words, needs, inputs, factor * core_s, parallel=True)

    def _policy(self, method: str) -> tuple[str, tuple[str, ...], dict[str, str]]:
        """Returns a method's checkpoint as a command takes it, the steps that make it, and the inputs for the fingerprint."""
        if shipped := self.shipped.get(method):
            return shipped, (), {"model_id": self._model_ids[method]}
        return str(self.out / "train" / method / "checkpoint"), (f"train/{method}",), {}

    def _episodes(self, scenes: Scenes) -> int:
        return len(scenes.tasks or suite_tasks(scenes.suite)) * scenes.episodes

    def _episodes_of(self, data: Demonstrations) -> int:
        return len(data.tasks or suite_tasks(data.suite)) * data.episodes


def _scene_words(scenes: Scenes) -> list[str]:
    tasks = [word for task in scenes.tasks for word in ("--task", task)]
    return ["--suite", scenes.suite, *tasks, "--episodes", str(scenes.episodes), "--seed", str(scenes.seed)]


def _precision(runs: Iterable[Optimisation]) -> str:
    """In which precision the runs of a training compute, as its recipe has it."""
    return " and ".join(sorted({"bfloat16" if run.bf16 else "float32" for run in runs}))


@cache
def _preset(name: str) -> dict:
    """A model preset's values, read from `config/models/`."""
    config_path("models", name)
    return _values(DialConfig.from_preset(name).arch)


@cache
def _has_second_tower(model: str) -> bool:
    return DialConfig.from_preset(model).arch.view_encoder is not None


def _values(config: Config) -> dict:
    """What a config sets, as JSON values; a default that a later version adds is no other recipe."""
    return config.model_dump(mode="json", exclude_defaults=True)
