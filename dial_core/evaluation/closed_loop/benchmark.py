"""Benchmarks from outside as data (`config/benchmarks/`): their environments, suites and named protocols."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from dial_core.config import Config, config_root, load_config
from dial_core.control.overlap import Strategy
from dial_core.errors import DialError
from dial_core.evaluation import environments
from dial_core.evaluation.closed_loop.environment_client import EnvironmentProcess
from dial_core.evaluation.closed_loop.protocol import Execution, Judged
from dial_core.evaluation.closed_loop.source_state import source_state


class Names(Config):
    """Some environments: `pattern` with each name `of` the list in place of {}."""

    pattern: str
    of: tuple[str, ...]


class Source(Config):
    """A repository that is installed from its own source, at one `commit`; `patches` says what setup changes in it, and why."""

    repository: str
    commit: str
    patches: tuple[str, ...] = ()
    download: str = ""  # its script that fetches the assets


class Installation(Config):
    """A Python environment for a benchmark.

    Attributes:
        name: of its folder, below `environments_folder()`.
        packages: of PyPI, pinned.
        source: what is not on PyPI.
        reported: packages whose versions go into the protocol's hash, the one with the assets first.
        assets: folder of its assets inside the first package; empty: it has none of its own.
        asset_folders: what must be in there: some of its files come with the source.
    """

    name: str
    packages: tuple[str, ...]
    source: Source | None = None
    reported: tuple[str, ...] = Field(min_length=1)
    assets: str = ""
    asset_folders: tuple[str, ...] = ()

    def missing_assets(self, package: Path) -> list[str]:
        """Which of `asset_folders` are missing or empty in the folder of the first package."""
        return [name for name in self.asset_folders if not any((package / self.assets / name).glob("*"))]

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return environments_folder() / self.name / "bin" / "python"

    @property
    def clone(self) -> Path:
        """Where its `source` lies."""
        return environments_folder() / self.name / "source"


class Rules(Config):
    """One named protocol of a benchmark.

    Attributes:
        judged: `chunk_end`: success counts where a chunk ends, as in the authors' evaluation; `every_step`.
        hold_steps: for how many control steps in a row success must last.
        settle_steps: control steps for which the robot stands still before the first image.
        execution: how chunks become commands; see `Protocol`.
        execute_steps, strategy: of chunks.
        system2_period_steps, system2_delay_steps: of foresights; the authors make one from the very image of each chunk.
        noise_seed: of the decoder's initial noise, one for the session; the authors draw another for each chunk.
        episodes: of each environment.
    """

    judged: Judged
    hold_steps: int
    settle_steps: int = 0
    execution: Execution = "direct"
    execute_steps: int
    strategy: Strategy
    system2_period_steps: int
    system2_delay_steps: int
    noise_seed: int = Field(default=0, ge=-1)
    episodes: int

    @model_validator(mode="after")
    def _judged_where_it_can_last(self) -> Self:
        if self.judged == "chunk_end" and self.hold_steps != 1:
            raise ValueError(f"hold_steps {self.hold_steps} with judged chunk_end: chunk ends do not follow each other; expected 1")
        return self


class StartLimits(Config):
    """Beyond which a scene counts as broken before the robot has moved; see `environment_server.broken_start`."""

    depth_m: float = 0.01
    speed_m_s: float = 0.5
    below_m: float = 0.3


class Benchmark(Config):
    """A benchmark from outside (`config/benchmarks/<name>.yaml`), with everything its protocols fix.

    Attributes:
        installation: the Python environment it runs in.
        embodiment: the robot; `layout`: units of its hands in observations and actions.
        modules: importing them registers the environments; a file is one of `evaluation/environments/`.
        id: of an environment, with {task}; `options`: how it is made.
        rate_hz, max_steps: of control.
        image, instruction: keys of the observation; `prefix`: what stands before the instruction.
        groups: joint groups: keys state.<group> and action.<group>.
        protocols: by name, the default first.
        suites: which environments.
    """

    installation: Installation
    embodiment: str
    layout: str
    modules: tuple[str, ...]
    id: str
    options: dict[str, Any] = {}
    rate_hz: float
    max_steps: int
    image: str
    instruction: str
    prefix: str = ""
    groups: tuple[str, ...]
    start_limits: StartLimits = StartLimits()
    protocols: dict[str, Rules] = Field(min_length=1)
    suites: dict[str, tuple[Names, ...]]

    def tasks(self, suite: str) -> tuple[str, ...]:
        """The environments of a suite, without prefix and robot."""
        return tuple(names.pattern.format(name) for names in self.suites[suite] for name in names.of)

    def protocol(self, name: str = "") -> dict:
        """What the protocol `name` (empty: the default) fixes of `Protocol`, environment included.

        Raises:
            DialError: no such protocol; the message lists them.
        """
        name = name or next(iter(self.protocols))
        if name not in self.protocols:
            raise DialError(f"no protocol '{name}' for this suite; protocols: {', '.join(self.protocols)}")
        return {"rules": name, **self.protocols[name].model_dump()}

    def start(self) -> EnvironmentProcess:
        """An environment server, nothing made in it yet. Raises DialError if the environment is not installed."""
        return EnvironmentProcess(self.installation.python, self.installation.name, self.setup)

    @property
    def setup(self) -> str:
        """The command that installs its environment."""
        return "dial robocasa setup" if self.installation.source else "dial robocasa setup --robosuite-only"

    def module_names(self) -> list[str]:
        """What the server imports: modules by name, our own files by path."""
        folder = Path(environments.__file__).parent
        return [str(folder / module) if module.endswith(".py") else module for module in self.modules]


@cache
def load_benchmark(name: str) -> Benchmark:
    """The benchmark `name` from `config/benchmarks/`."""
    return load_config(Benchmark, "benchmarks", name)


def benchmark_of(suite: str) -> Benchmark | None:
    """The benchmark that a suite belongs to; None for our own suites."""
    for path in sorted((config_root() / "benchmarks").glob("*.yaml")):
        benchmark = load_benchmark(path.stem)
        if suite in benchmark.suites:
            return benchmark
    return None


def benchmark_suites() -> list[str]:
    """The suites of all benchmarks."""
    return [suite for path in sorted((config_root() / "benchmarks").glob("*.yaml")) for suite in load_benchmark(path.stem).suites]


def environment_facts(benchmark: Benchmark) -> dict[str, Any]:
    """Versions, source, asset hash and settings of the installed environment, and what its YAML fixes.

    Versions are those that its own interpreter reports; of a source: commit, patches, and what else was changed in it.

    Raises:
        DialError: it is not installed, assets, packages or patches are missing, or it does not run from its clone.
    """
    wanted = benchmark.installation
    server = benchmark.start()
    try:
        facts, _ = server.call("describe", packages=list(wanted.reported), assets=wanted.assets)
    finally:
        server.close()
    missing = [package for package, version in facts["packages"].items() if version == "missing"]
    folder = Path(facts.pop("folder"))  # where on this machine: no part of the hash
    if wanted.reported[0] not in missing:
        missing += ["its assets"] if facts["assets"] == "missing" else [f"assets {name}" for name in wanted.missing_assets(folder)]
    source = {}
    if wanted.source and wanted.reported[0] not in missing:
        _require_run_from(wanted.clone, folder, wanted.reported[0])
        source = {"source": source_state(wanted.clone, wanted.source.patches)}
        missing += [f"patch {name}" for name, applied in source["source"]["patches"].items() if not applied]
    if missing:
        raise DialError(f"environment '{wanted.name}' lacks {', '.join(missing)}; `{benchmark.setup}` completes it")
    fixed = benchmark.model_dump(mode="json", exclude={"protocols", "suites"})  # a result's own rules and tasks are in its protocol
    return {**facts, **source, "n_envs": 1, "benchmark": fixed}  # every environment has a process of its own


def _require_run_from(clone: Path, folder: Path, package: str) -> None:
    if not folder.resolve().is_relative_to(clone.resolve()):
        raise DialError(f"package {package} is imported from {folder}, not from its clone {clone}; `dial robocasa setup` installs that one")


def environment_id(facts: dict[str, Any]) -> str:
    """12 hex digits of everything that `environment_facts` reports."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def environments_folder() -> Path:
    """Where environments are installed: `DIAL_ENVIRONMENTS`, or ~/.local/share/dial/environments."""
    chosen = os.environ.get("DIAL_ENVIRONMENTS")
    return Path(chosen) if chosen else Path.home() / ".local/share/dial/environments"
