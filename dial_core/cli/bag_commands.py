"""`dial record`, `dial convert bag`, `dial repair`, `dial replay`: from the robot to a dataset, and back onto the robot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dial_core.cli.import_report import print_import
from dial_core.cli.interruption import interrupted_by_sigterm
from dial_core.cli.operator_commands import become
from dial_core.cli.options import Checkpoint, Ray, SkipCrashed, Task, Workers, console
from dial_core.cli.survey_table import print_found
from dial_core.sim.task import EVALUATION_SEEDS_FROM

convert_app = typer.Typer(no_args_is_help=True, help="Turn recordings into LeRobot v3 datasets.")

Bags = Annotated[list[Path], typer.Argument(help="Bag folders, or folders of bag folders.", show_default=False)]


@convert_app.command("bag")
def convert_bag(
    sources: Annotated[list[Path], typer.Argument(help="SRC... DST: bags (or folders of bags), and at last the dataset to make.")],
    embodiment: Annotated[str, typer.Option(help="The robot: a name in config/embodiments/, or a YAML file.")] = "gr1",
    cameras: Annotated[str, typer.Option(help="Further cameras beside the first, by commas; empty: all of the embodiment's.")] = "",
    actions: Annotated[str, typer.Option(help="commands: the controllers' set-points a step later; next: the states then.")] = "commands",
    gaps: Annotated[str, typer.Option(help="drop: cut episodes at gaps; keep: fill them with the last frame, and report.")] = "drop",
    max_gap_s: Annotated[float, typer.Option(min=0.0, help="A frame older than this at its step is a gap [s].")] = 0.15,
    tail_s: Annotated[
        float, typer.Option(min=0.0, help="Standing still that is kept after the motion [s]: a robot must learn to stay.")
    ] = 0.8,
    instruction: Annotated[str, typer.Option(help="For bags that carry none.")] = "",
    failures: Annotated[bool, typer.Option(help="Take in episodes that the operator called failures.")] = False,
    mapping: Annotated[str, typer.Option(help="YAML file: which topics are what, and how joints are named in them.")] = "",
    controllers: Annotated[str, typer.Option(help="The robot's ros2_control YAML: which commands its controllers accept.")] = "",
    skip_crashed: SkipCrashed = False,
    workers: Workers = 2,
    ray: Ray = "",
) -> None:
    """Convert rosbag2 folders (`dial record`, `ros2 bag record`) into a LeRobot v3 dataset.

    Frames, joints and actions are brought to the control rate by the code with which the live System-1 forms its
    observation; idle ends are cut. `DST/report/report.md` shows rates, gaps, joint ranges and frames, and warns of what
    would hurt training. First a table shows what was found, how it will be used, and what will not be and why. Bags that cannot
    be converted, and parts that cannot be used, are named with the reason; the last line sums up, and the exit status is 3 if a
    bag could not be converted. Interrupted, the same command resumes.
    """
    from dial_core.errors import DialError
    from dial_core.importers.bag.conversion import BagConversion, convert_bags, find_bags
    from dial_core.importers.bag.mapping import load_bag_mapping
    from dial_core.importers.bag.resampling import Resampling
    from dial_core.importers.bag.survey import find_in_bags

    if len(sources) < 2:
        raise DialError("name at least one bag and, at last, the dataset to make: dial convert bag SRC... DST")
    for name, value, choices in (("--actions", actions, ("commands", "next")), ("--gaps", gaps, ("drop", "keep"))):
        if value not in choices:
            raise DialError(f"{name} is '{value}'; choose one of: {', '.join(choices)}")
    *bags, out = sources
    named = tuple(name.strip() for name in cameras.split(",") if name.strip())
    resampling = Resampling(actions=actions, gaps=gaps, max_gap_s=max_gap_s, tail_s=tail_s)
    settings = BagConversion(embodiment, named, instruction, failures, resampling, load_bag_mapping(mapping, controllers))
    if not out.exists():
        print_found(find_in_bags(find_bags(bags), settings))
    with interrupted_by_sigterm():
        report = convert_bags(bags, out, settings, workers, skip_crashed)
    print_import(report, out, "bags")


def repair(bags: Bags) -> None:
    """Repair bags whose recorder was killed: write the missing index and metadata.

    Whole bags are left alone, and so is every other file in a folder. A bag that is still being recorded is refused; one that was written
    to in the last 10 s is watched before it is repaired.
    """
    from dial_core.bags.repair import needs_repair, unfinished_bags
    from dial_core.bags.repair import repair as run
    from dial_core.bags.storage import storage_files
    from dial_core.errors import DialError

    unrepaired = 0
    for source in bags:
        if not source.is_dir():
            raise DialError(f"{source} is no folder; name a bag's folder, or a folder of bags")
        found = [source] if storage_files(source) or needs_repair(source) else unfinished_bags(source)
        for folder in found:
            try:
                done = run(folder)
            except DialError as error:
                unrepaired += 1
                console.print(f"[red]not repaired[/] {escape(str(error))}", highlight=False, soft_wrap=True)
                continue
            console.print(escape(f"{folder}: {done.action}, {done.messages} messages"), highlight=False, soft_wrap=True)
            for text in done.damage:
                console.print(f"[yellow]lost[/] {escape(text)}", highlight=False, soft_wrap=True)
        if not found:
            console.print(escape(f"{source}: no unfinished bag in it"), highlight=False)
    if unrepaired:
        raise DialError(f"not repaired: {unrepaired} of the bags; the reasons stand above")


replay_app = typer.Typer(no_args_is_help=True, help="Play recordings: through the simulated robot, or through System-1 alone.")


@replay_app.command("robot")
def replay_robot(
    source: Annotated[Path, typer.Argument(help="A bag, or a LeRobot dataset.")],
    episode: Annotated[int, typer.Option(min=0, help="Episode of a dataset, by its index.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Scene of the simulated world; none: the recording's own.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for replay.json and the robot's log.")] = Path("out/replay"),
    task: Annotated[str, typer.Option(help="Task, by its file in config/tasks/; empty: the recording's own.")] = "",
) -> None:
    """Play an episode's actions, or a bag's commands, through `mujoco_robot` over ROS.

    Shows what a recording commands before a real robot executes it. `replay.json` reports how closely the joints followed
    and whether the task succeeded.
    """
    from dial_core.importers.joint_targets import recorded_scene, recorded_targets, save_motion

    recorded_task, recorded_seed = recorded_scene(source, episode)
    if not (task or recorded_task) or (seed is None and recorded_seed is None):
        console.print(f"{source} does not say on which scene it was recorded: give --task and --seed to see it succeed", highlight=False)
    task, seed = task or recorded_task or "PlacematToPlate", recorded_seed or 0 if seed is None else seed
    console.print(f"on the scene {seed} of {task}", highlight=False)
    targets, embodiment = recorded_targets(source, episode)
    motion = out / "motion.npz"
    save_motion(motion, targets, embodiment)
    become("dial_ros.tools.replay", str(motion), "--seed", str(seed), "--task", task, "--out", str(out))


@replay_app.command("chunks")
def replay_chunks(
    checkpoint: Checkpoint,
    bag: Annotated[Path, typer.Argument(help="A bag with foresights of this checkpoint (recorded while it drove).")],
    out: Annotated[Path, typer.Option(help="Folder for open_loop.json and open_loop.png.")] = Path("out/open_loop"),
    period_steps: Annotated[int, typer.Option(min=1, help="Control steps between two chunks.")] = 3,
    flow_steps: Annotated[int, typer.Option(min=1, help="Euler steps of the action decoder.")] = 4,
) -> None:
    """Run System-1 alone on a recording, from its recorded foresights; no VLM, no robot.

    Its chunks are compared with what was commanded, joint by joint and by steps ahead, beside the error of standing still.
    """
    from rich.markdown import Markdown

    from dial_core.checkpoint.checkpoint import load_checkpoint
    from dial_core.evaluation.studies.open_loop import open_loop, write_open_loop
    from dial_core.robot.embodiment import load_embodiment

    result = open_loop(checkpoint, bag, period_steps, flow_steps)
    embodiment = load_embodiment(load_checkpoint(checkpoint).contract.embodiment)
    console.print(Markdown(write_open_loop(out, result, embodiment)))
    console.print(f"{result.chunks} chunks; images in {out}", highlight=False)


def record(
    out: Annotated[Path, typer.Option(help="Folder in which every episode gets a folder.")] = Path("recordings"),
    expert: Annotated[bool, typer.Option("--expert", help="In simulation: the scripted expert drives, without an operator.")] = False,
    episodes: Annotated[int, typer.Option(min=1, help="With --expert: successful demonstrations wanted.")] = 20,
    seed: Annotated[
        int, typer.Option(min=0, max=EVALUATION_SEEDS_FROM - 1, help="With --expert: first scene; 100000 and up are for evaluation.")
    ] = 0,
    task: Task = "PlacematToPlate",
    instruction: Annotated[str, typer.Option(help="What the robot is to do; empty: as the topic `instruction` says.")] = "",
    robot: Annotated[str, typer.Option(help="Embodiment: a name in config/embodiments/, or a YAML file.")] = "gr1",
    sim_time: Annotated[bool, typer.Option("--sim-time", help="Take the time from /clock.")] = False,
    namespace: Annotated[str, typer.Option(help="ROS namespace of the robot.")] = "",
    cameras: Annotated[str, typer.Option(metavar="CAMERA=TOPIC,...", help="Other topics of the cameras than the embodiment's.")] = "",
    controllers: Annotated[str, typer.Option(metavar="OURS=THEIRS,...", help="Other names of the robot's controllers.")] = "",
    params_file: Annotated[str, typer.Option(help="YAML of the recorder's parameters: image_transport, extra_topics, ...")] = "",
) -> None:
    """Record demonstrations as rosbag2 folders (MCAP): episode by episode from the keyboard, or by the expert in simulation.

    Without --expert: starts the recorder beside whatever drives the robot (teleoperation, a policy) and asks when to begin
    and how it went. The bags open in `ros2 bag`, Foxglove and rosbags; `dial convert bag` makes a dataset of them.
    """
    from dial_core.errors import DialError

    of_the_graph = {"--namespace": namespace, "--cameras": cameras, "--controllers": controllers, "--params-file": params_file}
    if expert:
        if instruction or robot != "gr1" or sim_time or any(of_the_graph.values()):
            raise DialError(
                "--expert drives the simulated gr1 and says itself what it does: leave out --robot, --instruction, --sim-time, "
                f"{', '.join(of_the_graph)}"
            )
        become("dial_ros.tools.record_expert", "--out", str(out), "--task", task, "--episodes", str(episodes), "--seed", str(seed))
    line = ["--out", str(out), "--robot", robot, "--instruction", instruction]
    line += [word for option, value in of_the_graph.items() if value for word in (option, value)]
    become("dial_ros.tools.record", *line, *(["--sim-time"] if sim_time else []))
