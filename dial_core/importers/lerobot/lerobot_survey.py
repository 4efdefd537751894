"""What `dial convert lerobot` would use of datasets, from their metadata alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dial_core.datasets.lerobot import CAMERA_PREFIX, LeRobotDataset
from dial_core.datasets.modality import VectorPart
from dial_core.errors import DialError
from dial_core.importers.found import Found, FoundGroup, grouped
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, camera_of
from dial_core.importers.source_mapping import SourceMapping, VectorReader, load_mapping
from dial_core.observation.camera_view import in_words
from dial_core.robot.embodiment import Embodiment

SHOWN = 4


def find_in_datasets(folders: Sequence[Path], settings: LeRobotConversion) -> Found:
    """Groups datasets by what of them a conversion would use for what."""
    return Found("datasets", "rows", grouped(_look_at(folder, settings) for folder in folders))


def _look_at(folder: Path, settings: LeRobotConversion) -> FoundGroup:
    mapping, robot = load_mapping(settings.mapping), settings.robot()
    try:
        source = LeRobotDataset(folder, accept_cut=True)
        reader = settings.reader(source)
        camera = camera_of(source, mapping)
        episodes = settings.chosen(source)
    except DialError as error:
        return FoundGroup([folder.name], problem=str(error).replace(f"{folder}/", "").replace(f"{folder}: ", ""))
    view, size = settings.view(), source.features[source.camera_keys[camera]].height_width
    rate = f"{source.rate_hz:g} Hz" + (f", brought to {robot.rate_hz:g} Hz" if source.rate_hz != robot.rate_hz else "")
    fitted = f" {size[0]}x{size[1]}" + (f", stored {in_words(view)}" if size != (view.height, view.width) or view.crop else "")
    stored = "" if camera in source.video_keys else ", single images"
    uses = [
        ("episodes", f"LeRobot {source.version}, {rate}" + (f", the first {settings.first}" if settings.first else "")),
        (f"camera {view.name}", source.camera_keys[camera] + fitted + stored),
        *((f"joints of {group}", _named(parts)) for group, parts in reader.state_parts.items()),
        *_actions(reader, settings),
        ("wrist poses", _wrists(mapping, robot)),
        ("instruction", _words(source, mapping, settings)),
    ]
    rows = sum(episode.length for episode in episodes)
    return FoundGroup([folder.name], uses, source.lost | _unused(source, reader, camera), {uses[0][1]: rows})


def _actions(reader: VectorReader, settings: LeRobotConversion) -> list[tuple[str, str]]:
    if settings.actions == "next":
        return [("actions", "the state one step later")]
    return [
        (f"actions of {group}", _named(parts) + ("" if all(part.absolute for part in parts) else ", added to the state"))
        for group, parts in reader.action_parts.items()
    ]


def _named(parts: Sequence[VectorPart]) -> str:
    """`observation.state: left_arm`; of single dimensions the first few."""
    if not parts:
        return "none: stays at the home position"
    names = [part.name for part in parts]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{parts[0].column}: {', '.join(names[:SHOWN])}{more}"


def _wrists(mapping: SourceMapping, robot: Embodiment) -> str:
    if not mapping.wrists:
        return f"forward kinematics of {robot.name}"
    return ", ".join(f"{side}: {rule.position}, {rule.rotation}" for side, rule in mapping.wrists.items())


def _words(source: LeRobotDataset, mapping: SourceMapping, settings: LeRobotConversion) -> str:
    if settings.instruction:
        return "--instruction"
    notes = source.modality.annotations
    name = mapping.annotation or next((name for name in notes if not name.endswith("validity")), "")
    return (
        f"{notes.get(name, 'task_index')}, e.g. {source.instructions[0]!r}" if source.instructions else "none: --instruction TEXT gives one"
    )


def _unused(source: LeRobotDataset, reader: VectorReader, camera: str) -> dict[str, str]:
    """Cameras and parts that no rule takes, with the reason."""
    unused: dict[str, str] = {}
    for key, feature in source.features.items():
        if feature.dtype in ("video", "image", "depth") and key != source.camera_keys[camera]:
            unused[key] = "depth maps" if feature.is_depth else "one camera is converted; `camera` of a mapping names another"
        elif key.startswith(CAMERA_PREFIX) and feature.dtype not in ("video", "image", "depth"):
            unused[key] = f"'{feature.dtype}' is no camera"
    taken = {part.name for parts in (*reader.state_parts.values(), *reader.action_parts.values()) for part in parts}
    taken |= {name for rule in reader.mapping.wrists.values() for name in (rule.position, rule.rotation)}
    unused |= _left(source.modality.state, taken, reader.embodiment)
    if not reader.action_parts:
        return unused | {f"{part.column}": "--actions next takes the states" for part in source.modality.action.values()}
    return unused | _left(source.modality.action, taken, reader.embodiment)


def _left(parts: Mapping[str, VectorPart], taken: set[str], robot: Embodiment) -> dict[str, str]:
    return {f"{part.column}: {name}": f"no joint group of {robot.name} needs it" for name, part in parts.items() if name not in taken}
