"""What bags hold and how a conversion would use it, from their indexes alone: looked at before the work begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dial_core.bags.reader import Bag
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import BagConversion, chosen_cameras
from dial_core.importers.bag.topic_streams import Streams, find_streams
from dial_core.importers.found import Found, FoundGroup, grouped
from dial_core.robot.embodiment import Embodiment, load_embodiment


def find_in_bags(bags: Sequence[Path], conversion: BagConversion) -> Found:
    """Groups bags by what of them a conversion would use for what."""
    embodiment = load_embodiment(conversion.embodiment)
    return Found("bags", "messages", grouped(_look_at(folder, conversion, embodiment) for folder in bags))


def _look_at(folder: Path, conversion: BagConversion, embodiment: Embodiment) -> FoundGroup:
    try:
        bag = Bag(folder)
        streams = find_streams(bag, embodiment, chosen_cameras(embodiment, conversion.cameras), conversion.mapping)
    except DialError as error:
        return FoundGroup([folder.name], problem=str(error).replace(f"{folder}: ", ""))
    lost = dict.fromkeys(bag.missing, "lost")
    return FoundGroup([folder.name], _uses(bag, streams, conversion, embodiment), streams.unused | lost, bag.counts)


def _uses(bag: Bag, streams: Streams, conversion: BagConversion, embodiment: Embodiment) -> list[tuple[str, str]]:
    cameras = chosen_cameras(embodiment, conversion.cameras)
    uses = [(f"camera {camera.name}", topic) for camera, topic in zip(cameras, streams.images, strict=True)]
    uses += [("joints", source.topic) for source in streams.joint_states]
    by_controller = {
        source.controller: topic for topic, sources in streams.commands.items() for source in sources if bag.counts.get(topic, 0)
    }
    for controller in embodiment.controllers:
        otherwise = "none: the joints measured a step later"
        topic = by_controller.get(controller.name, otherwise) if conversion.resampling.actions == "commands" else otherwise
        uses.append((f"actions of {controller.name}", topic))
    if bag.facts.get("instruction"):
        source = "as the recorder noted"
    else:
        source = streams.instruction or ("--instruction" if conversion.instruction else "none: --instruction TEXT gives one")
    return [*uses, ("instruction", source)]
