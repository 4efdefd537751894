"""Metadata as other people's writers leave them: read, or refused in one line that names file and key.

pytest test/unit/datasets/test_metadata.py
"""

import json
import shutil

import pyarrow
import pytest
from pyarrow import parquet

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.datasets.metadata import Feature
from dial_core.errors import DialError

from ..importers.source_files import write_gr00t_set

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture
def v2(tmp_path):
    return write_gr00t_set(tmp_path / "v2")


@pytest.fixture
def v3(fake_dataset, tmp_path):
    return fake_dataset(tmp_path / "v3", (6, 7)).folder


def change_json(file, **values):
    content = json.loads(file.read_text())
    for key, value in values.items():
        if value is KeyError:
            content.pop(key)
        else:
            content[key] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fps": None}, r"info\.json: key 'fps': .*\(got null\)"),
        ({"fps": 0}, "key 'fps'"),
        ({"fps": KeyError}, "key 'fps' is missing"),
        ({"features": KeyError}, "key 'features' is missing"),
        ({"features": []}, r"key 'features': .*\(got \[\]\)"),
        ({"features": {"action": {"shape": [3]}}}, r"key 'features\.action\.dtype' is missing"),
        ({"codebase_version": "v1.6"}, r"version v1\.6; versions read: v2\.0, v2\.1, v3\.0"),
        ({"data_path": "data/{episode_index.x}.parquet"}, "key 'data_path' is .*; it may name"),
        ({"data_path": "data/{episode_index[0]}.parquet"}, "key 'data_path' is .*; it may name"),
        ({"data_path": "data/{episode_number}.parquet"}, "key 'data_path' is .*; it may name episode_chunk, episode_index"),
    ],
)
def test_a_wrong_key_of_info_is_named(v2, change, words):
    change_json(v2 / "meta/info.json", **change)
    with pytest.raises(DialError, match=words):
        _ = LeRobotDataset(v2).episodes


@pytest.mark.parametrize("version", ["v2.1.0", "2.1", "v2.1"])
def test_versions_may_be_written_in_several_ways(v2, version):
    change_json(v2 / "meta/info.json", codebase_version=version)
    assert LeRobotDataset(v2).version == "v2.1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda data: data[:200], "is not valid JSON: .*is it complete"),
        (lambda data: b"", "is empty"),
        (lambda data: LFS, "is a Git LFS pointer.*git lfs pull"),
        (lambda data: b"[1, 2]", r"must hold keys and values, found \[1, 2\]"),
        (lambda data: b'{"a": "\xff"}', r"is not UTF-8 text \(byte 7\)"),
    ],
)
def test_a_damaged_info_is_one_line(v2, content, words):
    file = v2 / "meta/info.json"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(DialError, match=rf"info\.json {words}"):
        LeRobotDataset(v2)


def test_a_byte_order_mark_and_missing_templates_do_no_harm(v2):
    change_json(v2 / "meta/info.json", data_path=None, video_path=KeyError, chunks_size=KeyError)
    file = v2 / "meta/info.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    dataset = LeRobotDataset(v2)
    assert dataset.columns(dataset.episodes[0])["action"].shape == (4, 44)
    assert dataset.episodes[0].video.is_file()


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "task_index": 0,\n  "task": "pick the cup"\n}\n{"task_index": 1, "task": "valid"}',
        '[{"task_index": 0, "task": "pick the cup"}, {"task_index": 1, "task": "valid"}]',
    ],
)
def test_lines_of_json_may_be_pretty_or_a_list(v2, text):
    (v2 / "meta/tasks.jsonl").write_text(text)
    assert LeRobotDataset(v2).tasks == {0: "pick the cup", 1: "valid"}


def test_without_a_list_of_tasks_the_words_of_the_episodes_count(v2):
    (v2 / "meta/tasks.jsonl").unlink()
    dataset = LeRobotDataset(v2)
    assert dataset.instruction(dataset.episodes[0], dataset.columns(dataset.episodes[0])) == "unlocked_waist: pick the cup"


def test_the_words_of_an_episode_may_be_one_text_or_stand_in_the_list_only(v2):
    (v2 / "meta/episodes.jsonl").write_text(
        '{"episode_index": 0, "tasks": "pick the cup", "length": 4}\n{"episode_index": 1, "length": 3}\n'
    )
    dataset = LeRobotDataset(v2)
    assert [span.tasks for span in dataset.episodes] == [("pick the cup",), ()]
    assert dataset.instruction(dataset.episodes[1], dataset.columns(dataset.episodes[1])) == "unlocked_waist: pick the cup"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"episodes\.jsonl is missing"),
        ("", r"episodes\.jsonl is empty"),
        ('{"episode_index": 0, "length": 4}\n{"episode_index": 1', r"episodes\.jsonl is not valid JSON lines"),
        ('{"episode_index": 0}\n', r"episodes\.jsonl, row 0: key 'length' is missing"),
        ('{"episode_index": 0, "length": 4}\n' * 2, "lists episode 0 twice"),
        ("7\n", "row 0 must hold keys and values, found 7"),
    ],
)
def test_what_is_wrong_with_the_episodes_is_named(v2, text, words):
    file = v2 / "meta/episodes.jsonl"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(DialError, match=words):
        _ = LeRobotDataset(v2).episodes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state": [{"name": "left_arm"}]}, r"modality\.json: key 'state': .*\(got \[\{"),
        ({"state": {"left_arm": {"start": 0}}}, r"key 'state\.left_arm\.end' is missing"),
        ({"state": {"left_arm": {"start": 3, "end": 3}}}, "dimensions 3 to 3"),
        ({"video": {"ego_view": {"original_key": "elsewhere"}}}, "video elsewhere is not among the features"),
    ],
)
def test_a_wrong_modality_is_named(v2, content, words):
    (v2 / "meta/modality.json").write_text(json.dumps(content))
    with pytest.raises(DialError, match=words):
        _ = LeRobotDataset(v2).modality


def test_older_modality_files_name_columns_directly(v2):
    change_json(v2 / "meta/modality.json", video={"ego_view": "observation.images.ego_view"}, annotation={"human.validity": None})
    modality = LeRobotDataset(v2).modality
    assert modality.videos == {"ego_view": "observation.images.ego_view"}
    assert modality.annotations == {"human.validity": "annotation.human.validity"}


@pytest.mark.parametrize(
    ("names", "flat"),
    [
        (["a", "b"], ("a", "b")),
        ([["a", "b"]], ("a", "b")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"left": ["a"], "right": [["b"]]}, ("a", "b")),
        ({"b": 1, "a": 0}, ("a", "b")),
        (None, ()),
    ],
)
def test_names_are_flat_however_they_are_nested(names, flat):
    assert Feature(dtype="float32", shape=(2,), names=names).flat_names == flat


@pytest.mark.parametrize(("shape", "size"), [((96, 80, 3), (96, 80)), ((3, 96, 80), (96, 80)), ((1, 96, 80), (96, 80)), ((29,), (0, 0))])
def test_the_size_of_a_camera_is_found_whether_channels_come_first_or_last(shape, size):
    assert Feature(dtype="video", shape=shape).height_width == size


def test_the_words_of_version_3_are_found_under_any_name_of_the_index(v3):
    (v3 / "meta/tasks.parquet").unlink()
    parquet.write_table(pyarrow.table({"task_index": [0], "__index_level_0__": ["put it there"]}), v3 / "meta/tasks.parquet")
    assert LeRobotDataset(v3).tasks == {0: "put it there"}
    (v3 / "meta/tasks.parquet").unlink()
    (v3 / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "put it here"}\n')
    assert LeRobotDataset(v3).tasks == {0: "put it here"}


def test_version_3_without_its_episodes_or_columns_is_one_line(v3, tmp_path):
    file = v3 / "meta/episodes/chunk-000/file-000.parquet"
    table = parquet.read_table(file)
    parquet.write_table(table.select([name for name in table.column_names if not name.startswith("videos/")]), file)
    dataset = LeRobotDataset(v3)
    with pytest.raises(DialError, match=r"episode 0 lacks 'videos/observation\.images\.ego/chunk_index'"):
        dataset.row_frames(dataset.episodes[0])
    parquet.write_table(table.drop(["data/file_index"]), file)
    with pytest.raises(DialError, match=r"episode 0 has no 'data/file_index'"):
        _ = LeRobotDataset(v3).episodes
    file.write_bytes(LFS)
    with pytest.raises(DialError, match="Git LFS pointer"):
        _ = LeRobotDataset(v3).episodes
    shutil.rmtree(v3 / "meta/episodes")
    with pytest.raises(DialError, match="meta/episodes is missing"):
        _ = LeRobotDataset(v3).episodes


def test_rows_are_found_though_the_metadata_name_another_file(v3):
    table = parquet.read_table(v3 / "data/chunk-000/file-000.parquet")
    parquet.write_table(table.slice(0, 6), v3 / "data/chunk-000/file-000.parquet")
    parquet.write_table(table.slice(6), v3 / "data/chunk-000/file-001.parquet")
    dataset = LeRobotDataset(v3)
    assert [len(dataset.columns(span)["action"]) for span in dataset.episodes] == [6, 7]


def test_a_dataset_of_another_writer_needs_no_seed_and_no_facts(v3):
    file = v3 / "meta/episodes/chunk-000/file-000.parquet"
    parquet.write_table(parquet.read_table(file).drop(["seed", "facts"]), file)
    assert [(span.seed, span.facts) for span in LeRobotDataset(v3).episodes] == [(0, {}), (0, {})]


def test_files_that_macos_leaves_beside_the_parquet_files_are_no_data(v3):
    for path in ("meta/episodes/chunk-000/._file-000.parquet", "data/chunk-000/._file-000.parquet"):
        (v3 / path).write_bytes(b"\x00\x05\x16\x07")
    dataset = LeRobotDataset(v3)
    assert [len(dataset.columns(span)["action"]) for span in dataset.episodes] == [6, 7]


def test_places_that_pandas_made_floats_of_are_still_places(v3):
    """As soon as one episode lacks a value the whole column is float64."""
    file = v3 / "meta/episodes/chunk-000/file-000.parquet"
    table = parquet.read_table(file)
    for name in [name for name in table.column_names if name.startswith(("data/", "videos/")) and name.endswith("_index")]:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pyarrow.float64()))
    expected = LeRobotDataset(v3).episodes
    parquet.write_table(table, file)
    assert LeRobotDataset(v3).episodes == expected


@pytest.mark.parametrize("kind", [pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), pyarrow.string_view(), pyarrow.large_string()])
def test_the_words_may_be_any_kind_of_text(v3, kind):
    text = pyarrow.array(["put it there"])
    words = text.dictionary_encode() if pyarrow.types.is_dictionary(kind) else text.cast(kind)
    parquet.write_table(pyarrow.table({"task_index": [0], "task": words}), v3 / "meta/tasks.parquet")
    assert LeRobotDataset(v3).tasks == {0: "put it there"}


def test_paths_as_windows_writes_them_are_found(v2):
    change_json(v2 / "meta/info.json", data_path="data\\chunk-{episode_chunk:03d}\\episode_{episode_index:06d}.parquet")
    dataset = LeRobotDataset(v2)
    assert len(dataset.columns(dataset.episodes[0])["action"]) == 4


def test_a_folder_that_is_not_the_dataset_itself_says_what_is(v2, tmp_path):
    shutil.copytree(v2, tmp_path / "hub/snapshots/3f2a")
    with pytest.raises(DialError, match=r"name the dataset itself: .*hub/snapshots/3f2a"):
        LeRobotDataset(tmp_path / "hub")
    (v2 / "meta").rename(v2 / "meta_data")
    with pytest.raises(DialError, match="LeRobot v1, which LeRobot itself converts"):
        LeRobotDataset(v2)


def test_a_version_that_does_not_fit_the_files_is_named(v2, v3):
    change_json(v2 / "meta/info.json", codebase_version="v3.0")
    with pytest.raises(DialError, match=r"episodes\.jsonl is there: key 'codebase_version' of info.json \(v3\.0\) does not fit"):
        _ = LeRobotDataset(v2).episodes
    change_json(v3 / "meta/info.json", codebase_version="v2.1")
    with pytest.raises(DialError, match=r"meta/episodes is there: key 'codebase_version' of info.json \(v2\.1\) does not fit"):
        _ = LeRobotDataset(v3).episodes


@pytest.mark.parametrize(
    ("names", "found"),
    [(["elbow.pos", "wrist.pos"], {"elbow": 0, "wrist": 1}), (["elbow", "wrist", "elbow"], {"wrist": 1}), (["elbow"], {"elbow": 0})],
)
def test_dimensions_are_found_by_names_that_are_theirs_alone(v2, names, found):
    (v2 / "meta/modality.json").unlink()
    features = json.loads((v2 / "meta/info.json").read_text())["features"]
    features["observation.state"] |= {"names": names, "shape": [len(names)]}
    change_json(v2 / "meta/info.json", features=features)
    assert {name: part.start for name, part in LeRobotDataset(v2).modality.state.items()} == found


@pytest.mark.parametrize(
    "marks", [{"info": {"video.is_depth_map": True}}, {"info": {"is_depth_map": True}}, {"video_info": {"video.is_depth_map": True}}]
)
def test_depth_maps_are_known_by_either_mark(marks):
    assert Feature(dtype="video", shape=(96, 96, 3), **marks).is_depth
    assert not Feature(dtype="video", shape=(96, 96, 3), info={"video.is_depth_map": False}).is_depth


def test_one_index_of_two_instructions_is_refused(v2):
    (v2 / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "pick"}\n{"task_index": 0, "task": "place"}\n')
    with pytest.raises(DialError, match=r"tasks\.jsonl, row 1: key 'task_index': 0 stands for two instructions, 'pick' and 'place'"):
        _ = LeRobotDataset(v2).episodes


@pytest.mark.parametrize("seed", ["train_42", [1, 2], float("nan"), {"a": 1}])
def test_another_programs_seed_of_an_episode_counts_for_nothing(v2, seed):
    file = v2 / "meta/episodes.jsonl"
    file.write_text("".join(json.dumps(json.loads(line) | {"seed": seed}) + "\n" for line in file.read_text().splitlines()))
    assert {span.seed for span in LeRobotDataset(v2).episodes} == {0}
