"""What bags hold and how a conversion would use it, from their indexes alone: looked at before the work begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dial_core.bags.reader import Bag
from dial_core.errors import DialError
from dial_core.importers.bag.conversion import BagConversion, chosen_cameras
from dial_core.importers.bag.topic_streams import Streams, find_streams
from dial_core.robot.embodiment import Embodiment, load_embodiment


@dataclass
class SurveyGroup:
    """Bags that are used alike.

    Attributes:
        bags: their names.
        uses: (what for, topic or what stands in for it), in the order of the table.
        unused: reason by topic.
        messages: of all the bags, by topic.
        problem: why none of them can be converted; empty if they can.
    """

    bags: list[str] = field(default_factory=list)
    uses: list[tuple[str, str]] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    problem: str = ""


def survey(bags: Sequence[Path], conversion: BagConversion) -> list[SurveyGroup]:
    """Groups bags by what of them a conversion would use for what."""
    embodiment = load_embodiment(conversion.embodiment)
    groups: dict[tuple, SurveyGroup] = {}
    for folder in bags:
        found = _look_at(folder, conversion, embodiment)
        key = (found.problem, tuple(found.uses), tuple(sorted(found.unused.items())))
        group = groups.setdefault(key, SurveyGroup(uses=found.uses, unused=found.unused, problem=found.problem))
        group.bags.append(folder.name)
        for topic, count in found.messages.items():
            group.messages[topic] = group.messages.get(topic, 0) + count
    return sorted(groups.values(), key=lambda group: (bool(group.problem), -len(group.bags)))


def _look_at(folder: Path, conversion: BagConversion, embodiment: Embodiment) -> SurveyGroup:
    try:
        bag = Bag(folder)
        streams = find_streams(bag, embodiment, chosen_cameras(embodiment, conversion.cameras), conversion.mapping)
    except DialError as error:
        return SurveyGroup(problem=str(error).replace(f"{folder}: ", ""))
    return SurveyGroup(uses=_uses(bag, streams, conversion, embodiment), unused=streams.unused, messages=bag.counts)


def _uses(bag: Bag, streams: Streams, conversion: BagConversion, embodiment: Embodiment) -> list[tuple[str, str]]:
    cameras = chosen_cameras(embodiment, conversion.cameras)
    uses = [(f"camera {camera.name}", topic) for camera, topic in zip(cameras, streams.images, strict=True)]
    uses += [("joints", source.topic) for source in streams.joint_states]
    by_controller = {source.controller: topic for topic, source in streams.commands.items() if bag.counts.get(topic, 0)}
    for controller in embodiment.controllers:
        otherwise = "none: the joints measured a step later"
        topic = by_controller.get(controller.name, otherwise) if conversion.resampling.actions == "commands" else otherwise
        uses.append((f"actions of {controller.name}", topic))
    if bag.facts.get("instruction"):
        source = "as the recorder noted"
    else:
        source = streams.instruction or ("--instruction" if conversion.instruction else "none: --instruction TEXT gives one")
    return [*uses, ("instruction", source)]
