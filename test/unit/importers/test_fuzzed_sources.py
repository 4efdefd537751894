"""LeRobot datasets and EgoDex recordings with files changed, cut off or of another structure: a right result or a DialError, nothing else.

200 examples of each in the normal run; 10,000 with `make nightly`.
"""

import shutil
from contextlib import suppress

import h5py
import numpy as np
import pyarrow
import pytest
from hypothesis import strategies as st
from pyarrow import parquet

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.egodex.recording import read_recording
from dial_core.importers.lerobot.lerobot_conversion import camera_of
from dial_core.importers.source_mapping import VectorReader, load_mapping
from dial_core.robot.embodiment import load_embodiment

from ..mutations import both, changes, json_changes, mutated, mutated_json
from .image_sets import png, rewrite, write_image_set
from .source_files import write_egodex, write_gr00t_set

GR1, MAPPING = load_embodiment("gr1"), load_mapping("robocasa_gr1")
KEY = "observation.images.ego_view"
META = ["meta/info.json", "meta/modality.json", "meta/episodes.jsonl", "meta/tasks.jsonl"]
FILES = [*META, "data/chunk-000/episode_000000.parquet", f"videos/chunk-000/{KEY}/episode_000000.mp4"]
V3_FILES = [
    "meta/info.json", "meta/modality.json", "meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet",
    "data/chunk-000/file-000.parquet", "videos/observation.images.ego/chunk-000/file-000.mp4",
]  # fmt: skip


def read_everything(folder) -> None:
    """All that a conversion reads of a dataset; raises DialError, or what it gives is usable."""
    source = LeRobotDataset(folder, accept_cut=True)
    mapping = MAPPING if "left_leg" in source.modality.state else load_mapping("by_name")
    reader, camera = VectorReader(mapping, source.modality, GR1), camera_of(source, mapping)
    for span in source.episodes[:2]:
        columns = source.columns(span)
        source.invalid(columns)
        assert source.instruction(span, columns) is not None
        for vectors in (reader.states(columns), reader.actions(columns)):
            assert vectors.shape == (span.length, GR1.state_dim)
            assert np.isfinite(vectors).all()
        frames = list(source.row_frames(span, camera).frames(range(span.length)))
        assert len(frames) == span.length
        assert all(frame.dtype == np.uint8 and frame.shape[2] == 3 for frame in frames)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A v2 set."""
    return write_gr00t_set(tmp_path_factory.mktemp("sets") / "v2")


def _with(folder, name, data, tmp_path) -> None:
    """Reads a copy of a dataset in which one file has other content."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    (copy / name).write_bytes(data)
    with suppress(DialError):
        read_everything(copy)


def _bytes(sets, tmp_path, name, edits):
    _with(sets, name, mutated((sets / name).read_bytes(), edits), tmp_path)


test_a_dataset_with_any_bytes_is_read_or_refused, test_a_dataset_with_any_bytes_is_read_or_refused_nightly = both(
    _bytes, name=st.sampled_from(FILES), edits=changes
)


def _values(sets, tmp_path, name, edits):
    text = (sets / name).read_text()
    lines = text.splitlines() if name.endswith(".jsonl") else [text]
    changed = "\n".join(mutated_json(line, edits) for line in lines)
    _with(sets, name, changed.encode(), tmp_path)


test_metadata_of_any_values_are_read_or_refused, test_metadata_of_any_values_are_read_or_refused_nightly = both(
    _values, name=st.sampled_from(META), edits=json_changes
)


@pytest.fixture
def v3(fake_dataset, tmp_path):
    return fake_dataset(tmp_path / "v3", (4, 5)).folder


def _version_3(v3, tmp_path, name, edits):
    _with(v3, name, mutated((v3 / name).read_bytes(), edits), tmp_path)


test_version_3_with_any_bytes_is_read_or_refused, test_version_3_with_any_bytes_is_read_or_refused_nightly = both(
    _version_3, name=st.sampled_from(V3_FILES), edits=changes
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A v2 set of single images."""
    return write_image_set(tmp_path_factory.mktemp("images") / "v2")


PIXELS = np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8)


def _image(images, kind, edits):
    encoded = mutated(png(PIXELS, kind), edits)
    rewrite(images, [{"bytes": encoded, "path": "0.png"}] * 4)
    source = LeRobotDataset(images)
    with suppress(DialError):
        assert source.frames(source.episodes[0]).shape[3] == 3


test_an_image_of_any_bytes_is_read_or_refused, test_an_image_of_any_bytes_is_read_or_refused_nightly = both(
    _image, kind=st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF"]), edits=changes
)

cells = st.none() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=3) | st.lists(st.floats(width=32), max_size=50)


def _columns(sets, tmp_path, column, values):
    name = "data/chunk-000/episode_000000.parquet"
    table = parquet.read_table(sets / name)
    try:
        made = pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError):
        return  # no such column can be written
    file = tmp_path / "column.parquet"
    parquet.write_table(table.set_column(table.column_names.index(column), column, made), file)
    _with(sets, name, file.read_bytes(), tmp_path)


test_columns_of_any_values_are_read_or_refused, test_columns_of_any_values_are_read_or_refused_nightly = both(
    _columns,
    column=st.sampled_from(["observation.state", "action", "timestamp", "annotation.human.validity", "task_index"]),
    values=st.lists(cells, min_size=4, max_size=4),
)

shapes = st.sampled_from([(), (0,), (5,), (5, 1), (5, 3), (5, 4, 4), (4, 4, 4), (0, 4, 4), (5, 16), (5, 4, 4, 1)])
contents = st.sampled_from([0.0, 1.0, -1.0, np.nan, np.inf, 1e30, "identity", "text"])
attributes = (
    st.none() | st.integers(-1, 3) | st.floats() | st.text(max_size=5) | st.binary(max_size=5) | st.lists(st.text(max_size=2), max_size=3)
)


def _recording(tmp_path, name, shape, content, key, attribute):
    shutil.rmtree(tmp_path / "pour", ignore_errors=True)
    identity = np.tile(np.eye(4), (5, 1, 1))
    file = write_egodex(tmp_path / "pour", 0, dict.fromkeys(("camera", "leftHand", "rightHand"), identity), llm_description="Pour.")
    with h5py.File(file, "r+") as recording:
        if name in recording:
            del recording[name]
        values = np.full(shape, 0 if isinstance(content, str) else content)
        if content == "identity" and shape[-2:] == (4, 4):
            values[...] = np.eye(4)
        recording[name] = values.astype("S4") if content == "text" else values
        with suppress(TypeError, ValueError, OSError):  # HDF5 stores no such attribute
            recording.attrs[key] = h5py.Empty("f4") if attribute is None else attribute
    _read(file)


def _read(file) -> None:
    try:
        recording = read_recording(file)
    except DialError:
        return
    assert np.isfinite(recording.camera).all()
    assert np.isfinite(recording.wrists).all()
    assert np.isfinite(recording.confidence).all()
    assert isinstance(recording.instruction, str)


test_a_recording_of_any_structure_is_read_or_refused, test_a_recording_of_any_structure_is_read_or_refused_nightly = both(
    _recording,
    name=st.sampled_from(["transforms/camera", "transforms/leftHand", "confidences/leftHand", "confidences/rightHand"]),
    shape=shapes,
    content=contents,
    key=st.sampled_from(["llm_description", "llm_type", "which_llm_description"]),
    attribute=attributes,
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    identity = np.tile(np.eye(4), (5, 1, 1))
    poses = dict.fromkeys(("camera", "leftHand", "rightHand"), identity)
    return write_egodex(tmp_path_factory.mktemp("egodex") / "pour", 0, poses, llm_description="Pour.").read_bytes()


def _recording_bytes(recording, tmp_path, edits):
    (tmp_path / "0.hdf5").write_bytes(mutated(recording, edits))
    _read(tmp_path / "0.hdf5")


test_a_recording_of_any_bytes_is_read_or_refused, test_a_recording_of_any_bytes_is_read_or_refused_nightly = both(
    _recording_bytes, edits=changes
)
