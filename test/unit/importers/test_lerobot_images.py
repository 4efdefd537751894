"""Cameras stored as single images in parquet, as LeRobot datasets without videos have them.

pytest test/unit/importers/test_lerobot_images.py
"""

import io
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from dial_core.cli.survey_table import print_found
from dial_core.datasets.inspection import check_dataset
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers.lerobot.lerobot_conversion import LeRobotConversion, convert_lerobot
from dial_core.importers.lerobot.lerobot_survey import find_in_datasets

from .image_sets import KEY, LENGTHS, NAMES, cell, pixels, png, rewrite, table_of, write_image_set


def frames_of(folder, episode=0):
    dataset = LeRobotDataset(folder)
    return dataset.frames(dataset.episodes[episode])


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_every_row_sees_its_own_image(tmp_path, version):
    folder = write_image_set(tmp_path / "images", version)
    for episode, length in enumerate(LENGTHS):
        expected = np.stack([pixels(episode, frame) for frame in range(length)])
        np.testing.assert_array_equal(frames_of(folder, episode), expected)


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "v3.0"])
def test_a_set_of_images_becomes_a_set_of_videos(tmp_path, version):
    folder = write_image_set(tmp_path / "images", version)
    report = convert_lerobot([folder], tmp_path / "out", LeRobotConversion(image_size=24), workers=0)
    assert (report.converted, report.left_out) == (2, {})
    converted = LeRobotDataset(tmp_path / "out")
    assert converted.states[4 + 2, 18:] == pytest.approx(np.full(len(NAMES), 0.2))
    assert converted.instructions == ["wave"]
    found = converted.frames(converted.episodes[1]).astype(float)
    np.testing.assert_allclose(found.mean((1, 2, 3)), [pixels(1, frame).mean() for frame in range(3)], atol=1.5)
    assert np.abs(found - [pixels(1, frame) for frame in range(3)]).mean() < 3
    assert not [finding for finding in check_dataset(converted) if finding.kind == "error"]


def test_rows_out_of_order_keep_their_images(tmp_path):
    folder = write_image_set(tmp_path / "images")
    rewrite(folder, [cell(0, frame) for frame in range(4)], order=[2, 0, 3, 1])
    np.testing.assert_array_equal(frames_of(folder), np.stack([pixels(0, frame) for frame in range(4)]))


def test_jpeg_grey_palettes_transparency_and_turned_images_are_read_as_colours(tmp_path):
    folder = write_image_set(tmp_path / "images")
    plain = np.full((24, 24, 3), (200, 60, 20), np.uint8)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turned to the right
    half = plain.copy()
    half[12:] = 0  # below black: turned to the right, black is at the left
    Image.fromarray(half).save(turned, "JPEG", exif=exif, quality=95, subsampling=0)
    transparent = np.dstack([plain, np.full((24, 24), 255, np.uint8)])
    encoded = [png(plain, "JPEG"), png(plain[..., 0]), png(transparent), turned.getvalue()]
    rewrite(folder, [{"bytes": data, "path": None} for data in encoded])
    frames = frames_of(folder).astype(int)
    assert np.abs(frames[0] - plain).max() < 4
    np.testing.assert_array_equal(frames[1], np.full((24, 24, 3), 200))
    np.testing.assert_array_equal(frames[2], plain)
    assert frames[3][:, :12].mean() < 5
    assert np.abs(frames[3][:, 13:] - plain[:, 13:]).max() < 12


def test_images_in_files_of_their_own_are_read_from_the_dataset_only(tmp_path):
    folder = write_image_set(tmp_path / "images")
    names = [f"images/{KEY}/episode_000000/frame_{frame:06d}.png" for frame in range(4)]
    for frame, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(pixels(0, frame)))
    rewrite(folder, [{"bytes": None, "path": name} for name in names])
    np.testing.assert_array_equal(frames_of(folder), np.stack([pixels(0, frame) for frame in range(4)]))
    (tmp_path / "elsewhere.png").write_bytes(png(pixels(0, 0)))
    rewrite(folder, [{"bytes": None, "path": "../elsewhere.png"}] * 4)
    with pytest.raises(DialError, match=r"frame 0 .* has no bytes, and '\.\./elsewhere\.png' is no file in"):
        frames_of(folder)


def test_images_in_a_cache_of_hugging_face_are_links_to_files_elsewhere(tmp_path, monkeypatch):
    snapshot = write_image_set(tmp_path / "snapshots/1")
    (tmp_path / "blobs").mkdir()
    (snapshot / "images").mkdir()
    for frame in range(4):
        (tmp_path / f"blobs/{frame}").write_bytes(png(pixels(0, frame)))
        (snapshot / f"images/{frame}.png").symlink_to(f"../../../blobs/{frame}")
    rewrite(snapshot, [{"bytes": None, "path": f"images/{frame}.png"} for frame in range(4)])
    np.testing.assert_array_equal(frames_of(snapshot), np.stack([pixels(0, frame) for frame in range(4)]))
    rewrite(snapshot, [{"bytes": None, "path": f"images/../../../blobs/{frame}"} for frame in range(4)])
    for folder in (snapshot, Path()):
        monkeypatch.chdir(snapshot)
        with pytest.raises(DialError, match="is no file in"):
            frames_of(folder)


def test_plain_bytes_are_images_too(tmp_path):
    folder = write_image_set(tmp_path / "images")
    rewrite(folder, [png(pixels(0, frame)) for frame in range(4)], kind=pyarrow.binary())
    np.testing.assert_array_equal(frames_of(folder), np.stack([pixels(0, frame) for frame in range(4)]))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"bytes": png(np.full((24, 24), 900, np.uint16)), "path": None}, "image of frame 2 .* a depth map, not colours"),
        ({"bytes": png(pixels(0, 2))[:-200], "path": None}, r"image of frame 2 .* cannot be decoded \(\d+ bytes\)"),
        ({"bytes": b"version https://git-lfs", "path": None}, "image of frame 2 .* cannot be decoded"),
        ({"bytes": png(pixels(0, 2)[:12]), "path": None}, "image of frame 2 .* is 12x24, that of frame 0 24x24"),
        (None, r"image of frame 2 .* is missing \(null\)"),
    ],
)
def test_an_episode_with_a_wrong_image_is_left_out_with_the_frame(tmp_path, wrong, reason):
    folder = write_image_set(tmp_path / "images")
    rewrite(folder, [wrong if frame == 2 else cell(0, frame) for frame in range(4)])
    report = convert_lerobot([folder], tmp_path / "out", LeRobotConversion(), workers=0)
    assert report.converted == 1
    with pytest.raises(DialError, match=reason):
        raise DialError(report.left_out["images, episode 0"])


def test_a_column_that_is_missing_or_holds_no_images_is_named(tmp_path):
    folder = write_image_set(tmp_path / "images")
    rewrite(folder, [[1.0, 2.0]] * 4, kind=pyarrow.list_(pyarrow.float32()))
    with pytest.raises(DialError, match=r"image of frame 0 .* it holds list, not bytes"):
        frames_of(folder)
    parquet.write_table(table_of(0, range(4)).drop_columns([KEY]), folder / "data/chunk-000/episode_000000.parquet")
    with pytest.raises(DialError, match=rf"episode 0: column '{KEY}' is missing in episode_000000\.parquet"):
        frames_of(folder)


def test_the_table_before_a_conversion_and_the_check_say_that_they_are_images(tmp_path, capsys):
    folder = write_image_set(tmp_path / "images", "v3.0")
    found = find_in_datasets([folder], LeRobotConversion())
    assert ("camera ego", f"{KEY} 24x24, stored 96x96 (crop), single images") in found.groups[0].uses
    print_found(found)
    assert "single images" in capsys.readouterr().err
    errors = [finding.text for finding in check_dataset(LeRobotDataset(folder)) if finding.kind == "error"]
    assert f"{KEY} holds single images, training reads videos: import it with `dial convert lerobot`" in errors
