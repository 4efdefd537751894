"""Procedural table textures: two colours in, an image out; the same image for the same arguments."""

from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
TWO_PI = 2 * np.pi


def paint(pattern: str, colours: tuple, size: int) -> np.ndarray:
    """The pattern as uint8 (size, size, 3): `colours[0]` where its field is 0, `colours[1]` where it is 1."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:size, 0:size] / size
    share = np.clip(PATTERNS[pattern](x, y, rng), 0.0, 1.0)[..., None]
    low, high = (np.array(colour) for colour in colours)
    return np.round(255 * (low + share * (high - low))).astype(np.uint8)


def _noise(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, waves: int = 8, scale: float = 4.0) -> np.ndarray:
    """Smooth noise about 0.5: a few random waves."""
    total = np.zeros_like(x)
    for _ in range(waves):
        kx, ky, phase = rng.normal(0, scale), rng.normal(0, scale), rng.uniform(0, TWO_PI)
        total += np.sin(TWO_PI * (kx * x + ky * y) + phase)
    return 0.5 + 0.5 * total / np.sqrt(waves)


def _plain(x, y, rng):
    return np.zeros_like(x)


def _wood(x, y, rng):
    warp = 0.03 * _noise(x, y, rng, scale=1.5)
    return 0.55 * _noise((x + warp) * 6, y * 0.35, rng) + 0.25 * (np.sin(TWO_PI * 24 * (x + warp)) > 0.6)


def _planks(x, y, rng):
    board = np.floor(x * 8)
    tone = rng.uniform(0.1, 0.6, 8)[board.astype(int)]
    return np.where((x * 8) % 1 < 0.04, 1.0, tone + 0.2 * _noise(x * 8, y * 0.4, rng))


def _marble(x, y, rng):
    return np.abs(np.sin(TWO_PI * (1.5 * x + y + 0.8 * _noise(x, y, rng, scale=2.0)))) ** 0.35 * -1 + 1.0


def _speckle(x, y, rng):
    return (_noise(x, y, rng, waves=24, scale=22.0) > 0.95).astype(float)


def _tiles(x, y, rng):
    return np.where(((x * 6) % 1 < 0.05) | ((y * 6) % 1 < 0.05), 1.0, 0.0)


def _linen(x, y, rng):
    return 0.25 + 0.25 * np.sin(TWO_PI * 64 * x) + 0.25 * np.sin(TWO_PI * 64 * y)


def _checkerboard(x, y, rng):
    return ((np.floor(x * 10) + np.floor(y * 10)) % 2).astype(float)


def _stripes(x, y, rng):
    return ((y * 9) % 1 > 0.5).astype(float)


def _diagonal(x, y, rng):
    return (((x + y) * 8) % 1 > 0.6).astype(float)


def _dots(x, y, rng):
    return (np.hypot((x * 9) % 1 - 0.5, (y * 9) % 1 - 0.5) < 0.26).astype(float)


def _gingham(x, y, rng):
    return 0.5 * ((x * 8) % 1 > 0.5) + 0.5 * ((y * 8) % 1 > 0.5)


def _bricks(x, y, rng):
    row = np.floor(y * 10)
    return np.where(((y * 10) % 1 < 0.08) | ((x * 5 + 0.5 * (row % 2)) % 1 < 0.04), 1.0, 0.0)


def _waves(x, y, rng):
    return (np.sin(TWO_PI * (8 * y + 0.25 * np.sin(TWO_PI * 5 * x))) > 0).astype(float)


def _rings(x, y, rng):
    return ((np.hypot(x - 0.5, y - 0.5) * 16) % 1 > 0.5).astype(float)


def _clouds(x, y, rng):
    return _noise(x, y, rng, waves=10, scale=2.5)


# The first seven are for training, the others for appearances never trained on (a test holds this).
PATTERNS: dict[str, Field] = {
    "plain": _plain,
    "wood": _wood,
    "planks": _planks,
    "marble": _marble,
    "speckle": _speckle,
    "tiles": _tiles,
    "linen": _linen,
    "checkerboard": _checkerboard,
    "stripes": _stripes,
    "diagonal": _diagonal,
    "dots": _dots,
    "gingham": _gingham,
    "bricks": _bricks,
    "waves": _waves,
    "rings": _rings,
    "clouds": _clouds,
}
