"""`dial convert lerobot|egodex` imports datasets; `dial data ...` inspects, joins and splits them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from dial_core.checkpoint.location import checkpoint_folder
from dial_core.cli.bag_commands import convert_app
from dial_core.cli.import_report import print_import
from dial_core.cli.interruption import interrupted_by_sigterm
from dial_core.cli.options import Ray, SkipCrashed, Task, Workers, console, results
from dial_core.cli.survey_table import print_found
from dial_core.errors import DialError
from dial_core.sim.task import EVALUATION_SEEDS_FROM

if TYPE_CHECKING:
    from dial_core.datasets.lerobot import LeRobotDataset

data_app = typer.Typer(no_args_is_help=True, help="Look at datasets, check, join and divide them; film the hands of a person.")

Dataset = Annotated[Path, typer.Argument(help="Dataset folder.", show_default=False)]
SourcesAndOut = Annotated[list[Path], typer.Argument(help="SRC... DST: what to read, and at last the dataset to make.", show_default=False)]
ImageSize = Annotated[int, typer.Option(min=0, help="Height and width of the images [px]; 0: the embodiment's camera's.")]
FitOption = Annotated[
    str,
    typer.Option("--fit", help="For other aspect ratios. crop: the centre; pad: all, with black bars; stretch."),
]
CropOption = Annotated[
    tuple[float, float, float, float],
    typer.Option(
        "--crop", metavar="TOP LEFT HEIGHT WIDTH", help="The part of the images that is kept, as shares of their height and width."
    ),
]
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)


@convert_app.command("lerobot")
def convert_lerobot(
    sources: SourcesAndOut,
    mapping: Annotated[str, typer.Option(help="How its parts are named: by name in config/sources/, or a path.")] = "by_name",
    embodiment: Annotated[str, typer.Option(help="The robot it is of; empty: the mapping's.")] = "",
    actions: Annotated[str, typer.Option(help="recorded, or next: the state one step later.")] = "recorded",
    fit: FitOption = "crop",
    instruction: Annotated[str, typer.Option(help="For all episodes; empty: their own.")] = "",
    image_size: ImageSize = 0,
    crop: CropOption = WHOLE_IMAGE,
    first: Annotated[int, typer.Option(min=0, help="At most so many episodes of each dataset, its first ones; 0: all.")] = 0,
    skip_crashed: SkipCrashed = False,
    workers: Workers = 2,
    ray: Ray = "",
) -> None:
    """Convert LeRobot datasets (v2.0, v2.1, v3.0; GR00T's modality.json is understood) of a robot.

    RoboCasa's GR1 teleoperation sets: `--mapping robocasa_gr1`. Joints are found by the parts of modality.json or by their
    names; wrist poses are computed by forward kinematics. Episodes that cannot be used are named, the others converted;
    interrupted, the same command resumes where it stopped.
    """
    from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion
    from dial_core.importers.lerobot.lerobot_conversion import convert_lerobot as run
    from dial_core.importers.lerobot.lerobot_survey import find_in_datasets

    folders, out = _sources_and_out(sources)
    settings = LeRobotConversion(mapping, embodiment, actions, fit, instruction, image_size, _kept(crop), first)  # type: ignore[arg-type]
    if not out.exists():
        print_found(find_in_datasets(folders, settings))
    with interrupted_by_sigterm():
        report = run(folders, out, settings, workers, skip_crashed)
    print_import(report, out, "episodes")


@convert_app.command("egodex")
def convert_egodex(
    sources: SourcesAndOut,
    frame: Annotated[str, typer.Option(help="robot: x ahead, y left, z up, level; camera: the first frame's camera.")] = "robot",
    min_confidence: Annotated[float, typer.Option(min=0.0, max=1.0, help="Wrist poses below it are masked.")] = 0.5,
    fit: FitOption = "pad",
    image_size: ImageSize = 0,
    crop: CropOption = WHOLE_IMAGE,
    rate_hz: Annotated[float, typer.Option(min=0.0, help="Of the dataset [Hz]: 30 keeps every frame; 0: 20 Hz, the robots' rate.")] = 0.0,
    skip_crashed: SkipCrashed = False,
    workers: Workers = 2,
    ray: Ray = "",
) -> None:
    """Convert EgoDex recordings (N.hdf5 beside N.mp4) of people: wrist poses as state, the next state as action, at 20 or 30 Hz.

    The result is of the embodiment `human`: 18 numbers, no joints. docs/data.md shows the frames in a figure. As the release has
    them: `--rate-hz 30 --crop 0.3 0 0.7 1 --fit stretch --image-size 224`.
    """
    from dial_core.importers.egodex.egodex_conversion import EgoDexConversion
    from dial_core.importers.egodex.egodex_conversion import convert_egodex as run
    from dial_core.importers.egodex.egodex_survey import find_in_recordings

    folders, out = _sources_and_out(sources)
    settings = EgoDexConversion(frame, min_confidence, fit, image_size, rate_hz=rate_hz, crop=_kept(crop))  # type: ignore[arg-type]
    if not out.exists():
        print_found(find_in_recordings(folders, settings))
    with interrupted_by_sigterm():
        report = run(folders, out, settings, workers, skip_crashed)
    print_import(report, out, "recordings")


def _kept(crop: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
    """The crop of a view; None where it is the whole image."""
    return None if crop == WHOLE_IMAGE else crop


@data_app.command()
def info(dataset: Dataset) -> None:
    """Describe a dataset: robot, episodes, hours, cameras, instructions, and its source."""
    from dial_core.datasets.lerobot import LeRobotDataset

    results.print(_described(LeRobotDataset(dataset)), highlight=False)


@data_app.command()
def check(
    dataset: Dataset,
    embodiment: Annotated[str, typer.Option(help="The robot that it is wanted for; empty: whichever it names.")] = "",
) -> None:
    """Check every episode for what prevents or degrades training. Exit code 1 if there is an error."""
    from dial_core.datasets.inspection import check_dataset
    from dial_core.datasets.lerobot import LeRobotDataset

    source = LeRobotDataset(dataset, accept_cut=True)
    results.print(_described(source), highlight=False)
    findings = check_dataset(source, embodiment)
    for finding in findings:
        colour = "red" if finding.kind == "error" else "yellow"
        results.print(f"[{colour}]{finding.kind}[/] {escape(f'{finding.where}: {finding.text}')}", highlight=False)
    errors = sum(finding.kind == "error" for finding in findings)
    count = len(source.episodes)
    verdict = "training would stop or learn wrong" if errors else "nothing stops training"
    results.print(
        f"[bold]{errors}[/] errors, [bold]{len(findings) - errors}[/] warnings in {count} episodes of {escape(str(dataset))}: {verdict}",
        highlight=False,
        soft_wrap=True,
    )
    if errors:
        raise typer.Exit(1)


@data_app.command()
def merge(sources: SourcesAndOut) -> None:
    """Join datasets of one robot, or all shards of one collection: SRC... DST.

    Of datasets every episode remembers its origin, and no frame is coded again. Of shards (`dial collect --shard`) the result
    equals what the same call without --shard would have made.
    """
    from dial_core.datasets.editing import merge_datasets
    from dial_core.demonstrations.shards import all_are_shards, join_shards

    folders, out = _sources_and_out(sources)
    join = join_shards if all_are_shards(folders) else merge_datasets
    results.print(f"[bold]{join(folders, out)}[/]", highlight=False)


@data_app.command()
def split(
    dataset: Dataset,
    out: Annotated[Path, typer.Argument(help="Folder to make, with one dataset a part in it.", show_default=False)],
    parts: Annotated[list[str], typer.Argument(help="NAME=SHARE of each part, e.g. train=0.9 held_out=0.1.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of the random split.")] = 0,
    without: Annotated[str, typer.Option(help="Episodes to leave out, by commas, as `dial data check` names them: 3,17.")] = "",
) -> None:
    """Split the episodes of a dataset at random into datasets OUT/NAME; videos are not re-encoded."""
    from dial_core.datasets.editing import split_dataset

    try:
        shares = {name: float(share) for name, share in (part.split("=", 1) for part in parts)}
        dropped = {int(number) for number in without.split(",") if number.strip()}
    except ValueError as error:
        raise DialError(f"parts are NAME=SHARE and --without is numbers by commas, got {' '.join(parts)} and '{without}'") from error
    for name, count in split_dataset(dataset, out, shares, seed, dropped).items():
        results.print(f"[bold]{count}[/] episodes in {out / name}", highlight=False)


@data_app.command()
def stats(
    dataset: Dataset,
    against: Annotated[
        Path | None,
        typer.Option(
            parser=checkpoint_folder, metavar="CHECKPOINT", help="Also show how far the data lies from this checkpoint's statistics."
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Compute meta/stats.json again.")] = False,
) -> None:
    """Show mean, spread and range of every dimension; against a checkpoint: what drifted, before you fine-tune with its statistics."""
    from dial_core.datasets.lerobot import LeRobotDataset
    from dial_core.datasets.stats_file import dataset_statistics, write_statistics

    opened = LeRobotDataset(dataset)
    found = dataset_statistics(opened)
    if write:
        console.print(f"wrote {write_statistics(dataset, found)}", highlight=False)
    if against is not None:
        _print_drift(dataset, against)
        return
    names = opened.features["action"].flat_names
    table = Table(Column("dimension", no_wrap=True), "state", "range", "action", "range", title=escape(str(dataset)), box=None)
    state, action = found["observation.state"], found["action"]
    for index in range(max(len(state.mean), len(action.mean))):
        cells = []
        for part in (state, action):
            if index < len(part.mean):
                cells += [f"{part.mean[index]:.2f} ± {part.std[index]:.2f}", f"{part.minimum[index]:.2f} .. {part.maximum[index]:.2f}"]
            else:
                cells += ["", ""]
        table.add_row(escape(names[index]) if index < len(names) else str(index), *cells)
    results.print(table, highlight=False)


@data_app.command()
def human(
    out: Annotated[Path, typer.Argument(help="Dataset to make.", show_default=False)],
    task: Task = "PlacematToPlate",
    episodes: Annotated[int, typer.Option(min=1, help="Successful episodes wanted.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=EVALUATION_SEEDS_FROM - 1, help="First scene.")] = 50_000,
    workers: Workers = 2,
    ray: Ray = "",
) -> None:
    """Record a task done by floating hands: a person's view, wrist poses only, for co-training (recipe `dial_tiny_human`).

    Hands of skin, no arms, no joints: what EgoDex is to a real robot, in our world and in seconds. Interrupted, the same command resumes.
    """
    from dial_core.demonstrations.floating_hands import film_hands

    console.print(f"[bold]{film_hands(task, episodes, seed, out, workers)}[/] episodes in {out}", highlight=False)


def _described(source: LeRobotDataset) -> Table:
    """Returns a table that describes a dataset."""
    frames = sum(episode.length for episode in source.episodes)
    words = Counter(episode.tasks[0] for episode in source.episodes if episode.tasks)
    rows = {
        "robot": str(source.info.get("robot_type")),
        "LeRobot version": source.version,
        "episodes": f"{len(source.episodes)}, {frames} frames, {frames / source.rate_hz / 3600:.2f} h at {source.rate_hz:g} Hz",
        "cameras": ", ".join(
            f"{name} {'x'.join(map(str, source.features[key].height_width))}" for name, key in source.modality.videos.items()
        ),
        "state": _parts(source.modality.state),
        "action": _parts(source.modality.action),
        "instructions": f"{len(words)}: " + "; ".join(f"{text} ({count})" for text, count in words.most_common(5)),
    }
    for name in ("collection", "conversion"):
        file = source.folder / f"meta/{name}.json"
        if file.is_file():
            rows[name] = _provenance(file)
    table = Table(show_header=False, title=escape(str(source.folder)))
    for name, text in rows.items():
        table.add_row(name, escape(text))
    return table


def _provenance(file: Path) -> str:
    """What a file of ours says of where a dataset came from; a broken one costs its row only."""
    from dial_core.datasets.meta_files import read_json

    try:
        values = read_json(file)
    except DialError as error:
        return str(error)
    if not isinstance(values, dict):
        return f"{file} must hold keys and values"
    return ", ".join(f"{key} {value}" for key, value in values.items() if not isinstance(value, dict))


def _print_drift(dataset: Path, checkpoint: Path) -> None:
    from dial_core.checkpoint.checkpoint import load_checkpoint
    from dial_core.datasets.drift import drift_of
    from dial_core.datasets.layout_rows import names_in, vectors_in
    from dial_core.datasets.lerobot import LeRobotDataset
    from dial_core.robot.embodiment import load_embodiment

    loaded = load_checkpoint(checkpoint)
    data = LeRobotDataset(dataset)
    if data.states.shape[1] != loaded.contract.state_dim:
        raise DialError(f"{dataset} has {data.states.shape[1]} dimensions, {checkpoint} was made for {loaded.contract.state_dim}")
    layout, robot = loaded.contract.layout, load_embodiment(loaded.contract.embodiment)
    vectors = vectors_in(layout, data, robot)
    drifts = drift_of(loaded.normaliser, [vectors.states], [vectors.actions], names_in(layout, robot))
    table = Table(
        "",
        "dimension",
        "mean moved [standard deviations]",
        "standard deviation, times",
        title=f"{dataset} against the statistics of {checkpoint.name}",
    )
    for drift in drifts[:12]:
        table.add_row(drift.what, drift.name, f"{drift.shift:+.2f}", f"{drift.widening:.2f}", style="yellow" if drift.far else "")
    results.print(table, highlight=False)
    far = sum(drift.far for drift in drifts)
    advice = "recompute them (recipe: `statistics: recomputed`)" if far else "reuse them (recipe: `statistics: reused`)"
    results.print(f"[bold]{far}[/] of {len(drifts)} dimensions lie far from the checkpoint's statistics: {advice}", highlight=False)


def _parts(parts) -> str:
    if len(parts) > 12:
        return f"{len(parts)} named dimensions: {', '.join(list(parts)[:4])}, ..."
    return ", ".join(f"{part.name} {part.end - part.start}" for part in parts.values())


def _sources_and_out(paths: list[Path]) -> tuple[list[Path], Path]:
    if len(paths) < 2:
        raise DialError("name at least one source and, at last, the dataset to make: SRC... DST")
    return paths[:-1], paths[-1]
