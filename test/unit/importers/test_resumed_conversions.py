"""A conversion that is resumed takes finished work only where nothing that it was made from has changed."""

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from dial_core.config import config_root
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.egodex import egodex_conversion
from dial_core.importers.egodex.egodex_conversion import EgoDexConversion, convert_egodex
from dial_core.importers.lerobot import lerobot_conversion
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, convert_lerobot

from .source_files import vector_of, write_egodex, write_gr00t_episode, write_gr00t_set
from .test_egodex_conversion import person
from .test_engine import interrupted_before_packing
from .test_lerobot_conversion import PLACES, ROBOCASA, in_our_units


def test_an_interrupted_conversion_resumes_where_it_stopped(tmp_path, monkeypatch):
    folder = write_gr00t_set(tmp_path / "robocasa")
    convert, converted = lerobot_conversion.convert_episode, []

    def stop_at_the_second(job):
        if job.key == 1 and job.key not in converted:
            converted.append(job.key)
            raise KeyboardInterrupt
        converted.append(job.key)
        return convert(job)

    monkeypatch.setattr(lerobot_conversion, "convert_episode", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0)
    assert convert_lerobot([folder], tmp_path / "out", ROBOCASA, workers=0).converted == 2
    assert converted == [0, 1, 1], "the first one is not read again"


@pytest.mark.parametrize("version", ["v2.0", "v3.0"])
def test_a_resumed_conversion_of_a_dataset_converts_again_what_another_video_list_of_tasks_or_bounds_changed(
    fake_dataset, tmp_path, monkeypatch, version
):
    folder, settings = tmp_path / "source", LeRobotConversion() if version == "v3.0" else ROBOCASA
    fake_dataset(folder, (24, 30)) if version == "v3.0" else write_gr00t_set(folder)
    source = LeRobotDataset(folder)
    convert, converted = lerobot_conversion.convert_episode, []
    monkeypatch.setattr(lerobot_conversion, "convert_episode", lambda job: (converted.append(job.key), convert(job))[1])
    call = partial(convert_lerobot, [folder], tmp_path / "out", settings, workers=0)

    def again() -> list[int]:
        converted.clear()
        interrupted_before_packing(tmp_path / "out", monkeypatch, call)
        return list(converted)

    assert (again(), again()) == ([0, 1], [])
    os.utime(source.episodes[1].video, ns=(0, 0))
    assert again() == ([0, 1] if version == "v3.0" else [1])  # of which the first shares the file
    if version == "v2.0":
        tasks = folder / "meta/tasks.jsonl"
        tasks.write_text(tasks.read_text().replace("cup", "mug"))
        assert again() == [0, 1]
    else:
        file = folder / "meta/episodes/chunk-000/file-000.parquet"
        rows = parquet.read_table(file).to_pylist()
        rows[1]["videos/observation.images.ego/to_timestamp"] += 0.01
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        assert again() == [0, 1]
    assert again() == []


def test_a_resumed_conversion_of_several_datasets_has_every_episode_once_though_the_first_grew_and_rows_were_corrected(
    tmp_path, monkeypatch
):
    def write(name: str, lengths) -> Path:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        return write_gr00t_set(tmp_path / name, lengths=lengths, words=name)

    convert_all = partial(convert_lerobot, [write("a", (3, 4)), write("b", (5, 6))], tmp_path / "out", ROBOCASA, workers=0)
    interrupted_before_packing(tmp_path / "out", monkeypatch, convert_all)
    write("a", (3, 4, 7))
    states = np.stack([vector_of(frame) for frame in range(5)]) + 0.125
    write_gr00t_episode(tmp_path / "b", 0, states, states)
    convert_all()
    dataset = LeRobotDataset(tmp_path / "out")
    assert [(span.instruction, span.length) for span in dataset.episodes] == [("a", 3), ("a", 4), ("a", 7), ("b", 5), ("b", 6)]
    corrected = dataset.columns(dataset.episodes[3])["observation.state"]
    np.testing.assert_allclose(corrected[:, 18:], [in_our_units(state[PLACES]) for state in states], atol=1e-6)


def test_an_interrupted_conversion_is_not_resumed_with_a_corrected_mapping_parts_rate_or_robot(fake_dataset, tmp_path, monkeypatch):
    folder, mapping, robot = fake_dataset(tmp_path / "dataset").folder, tmp_path / "mine.yaml", tmp_path / "gr1.yaml"
    mapping.write_text("embodiment: gr1\ngroups: {waist: {part: waist, scale: 0.5}}\n")
    robot.write_text((config_root() / "embodiments/gr1.yaml").read_text())
    settings = LeRobotConversion(str(mapping), embodiment=str(robot))

    def stop(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(lerobot_conversion, "convert_episode", stop)
    with pytest.raises(KeyboardInterrupt):
        convert_lerobot([folder], tmp_path / "out", settings, workers=0)
    mapping.write_text("embodiment: gr1\ngroups: {waist: {part: waist, scale: 1.0}}\n")
    with pytest.raises(DialError, match=r"mapping_rules.groups.waist.scale was 0.5, is now 1.0"):
        convert_lerobot([folder], tmp_path / "out", settings, workers=0)
    mapping.write_text("embodiment: gr1\ngroups: {waist: {part: waist, scale: 0.5}}\n")
    robot.write_text(robot.read_text().replace("rate_hz: 20.0", "rate_hz: 10.0"))
    with pytest.raises(DialError, match="embodiment_description was"):
        convert_lerobot([folder], tmp_path / "out", settings, workers=0)
    robot.write_text(robot.read_text().replace("rate_hz: 10.0", "rate_hz: 20.0"))
    info = folder / "meta/info.json"
    info.write_text(info.read_text().replace('"fps": 20', '"fps": 10'))
    with pytest.raises(DialError, match="columns was"):
        convert_lerobot([folder], tmp_path / "out", settings, workers=0)


def test_a_resumed_conversion_of_people_has_every_recording_once_though_others_arrived_went_or_changed(tmp_path, monkeypatch):
    def write(number: int, words: str) -> Path:
        return write_egodex(tmp_path / "part1/pour", number, person(), llm_description=words)

    files = [write(number, f"Recording {number}.") for number in (1, 2, 3, 4)]
    convert_all = partial(convert_egodex, [tmp_path / "part1"], tmp_path / "out", EgoDexConversion(), workers=0)
    interrupted_before_packing(tmp_path / "out", monkeypatch, convert_all)
    write(0, "Recording 0.")
    write(3, "A longer text of recording 3.")
    files[1].unlink()
    convert_all()
    spans = LeRobotDataset(tmp_path / "out").episodes
    assert [span.instruction for span in spans] == ["Recording 0.", "Recording 1.", "A longer text of recording 3.", "Recording 4."]
    assert [span.facts["source"] for span in spans] == ["pour/0", "pour/1", "pour/3", "pour/4"]


def test_a_resumed_conversion_of_people_converts_again_what_got_another_video(tmp_path, monkeypatch):
    files = [write_egodex(tmp_path / "part1/pour", number, person()) for number in (1, 2)]
    convert, converted = egodex_conversion.convert_recording, []
    monkeypatch.setattr(egodex_conversion, "convert_recording", lambda job: (converted.append(job.name), convert(job))[1])
    convert_all = partial(convert_egodex, [tmp_path / "part1"], tmp_path / "out", EgoDexConversion(), workers=0)
    interrupted_before_packing(tmp_path / "out", monkeypatch, convert_all)
    os.utime(files[1].with_suffix(".mp4"), ns=(0, 0))
    converted.clear()
    convert_all()
    assert converted == ["pour/2"]
