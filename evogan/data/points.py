"""Points in the plane, on which a GAN can be watched: made on the spot, with a known truth, or a user's own.

    ring    8 Gaussians on a circle of radius 2, standard deviation 0.02 (Metz et al., arXiv:1611.02163)
    grid    25 Gaussians on a 5 x 5 grid, 2 apart, standard deviation 0.05 (Srivastava et al., arXiv:1705.07761)
    moons   two half circles of radius 1 that lie in one another, noise 0.05
    spiral  one arm of two turns up to radius 3, noise 0.05

A point is an image of one pixel, whose two numbers have no bounds. Networks are shown them moved to mean 0 and
scaled to a mean square of 1 a coordinate, one scale for both; files of generators know the way back.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Dataset, DataSpec, Labels, Plane, image_dataset
from evogan.data.source import Rows, divided
from evogan.errors import UserError, shown
from evogan.files import expand
from evogan.stable import derive_seed

POINTS = {
    "ring": "25,000 points of 8 Gaussians on a circle, made on the spot",
    "grid": "25,000 points of 25 Gaussians on a grid, made on the spot",
    "moons": "25,000 points of two half circles, made on the spot",
    "spiral": "25,000 points of a spiral arm, made on the spot",
}
COUNT, HELD_OUT, FEWEST = 25_000, 5_000, 20
NARROW = 50  # times as little as along the other axis: a network hardly sees it
NAME = "points"  # of the array in an .npz file

Coordinates = npt.NDArray[np.float64]  # (N, 2)


@dataclass(frozen=True)
class _Made:
    points: Coordinates
    labels: Labels | None = None
    modes: Coordinates | None = None
    spread: float | None = None
    notes: tuple[str, ...] = ()
    given: bool = False


def is_points(spec: DataSpec) -> bool:
    """Whether it names points: one of `POINTS`, a file with an array (N, 2), or one that calls its array so."""
    if spec.name in POINTS:
        return True
    path = expand(spec.name)
    try:
        if path.suffix.lower() == ".npz" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                return f"{NAME}.npy" in archive.namelist()
        if path.suffix.lower() == ".npy" and path.is_file():
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return len(read(file)[0]) == 2
    except Exception:  # of damaged files zip and NumPy raise whatever they stumble over: it is said where they are read
        pass
    return False


def load_points(spec: DataSpec) -> Dataset:
    """Errors: UserError for what is asked of images alone, and for arrays that are no points."""
    for option in ("image_size", "classes", "pairs", "domains", "conditions"):
        if getattr(spec, option) is not None:
            raise UserError(f"data set '{spec.name}' has points: --{option.replace('_', '-')} is for images")
    if spec.name in POINTS:
        rng = np.random.default_rng(derive_seed("points", spec.name))
        return _dataset(spec.name, _MAKE[spec.name](rng), *np.split(np.arange(COUNT), [COUNT - HELD_OUT]))
    path = expand(spec.name)
    made = _read(path)
    return _dataset(path.stem, made, *divided(len(made.points)))


def check_points(points: npt.NDArray[np.generic], where: str) -> Coordinates:
    """Errors: UserError unless they are finite numbers (N, 2), and not all the same."""
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"{where} has shape {points.shape}: points have two columns, (N, 2)")
    if points.dtype.kind not in "iuf":
        raise UserError(f"{where} is {points.dtype}: points are numbers")
    if len(points) < FEWEST:
        raise UserError(f"{where} has {len(points)} points: at least {FEWEST} are needed")
    wide = points.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError(f"{where} has numbers that are not finite (NaN or infinity)")
    if not (wide != wide[0]).any():
        raise UserError(f"{where}: all {len(points):,} points are equal")
    return wide


def _read(path: Path) -> _Made:
    others: list[str] = []
    try:
        array = found = np.load(path, allow_pickle=False)
        if path.suffix.lower() == ".npz":
            array, others = found[NAME], [name for name in found.files if name != NAME]
    except Exception as error:  # of damaged files zip and NumPy raise whatever they stumble over
        raise UserError(f"cannot read '{path}': damaged, or no plain arrays ({shown(error)})") from error
    notes = (f"left out: {', '.join(others)}",) if others else ()
    return _Made(check_points(array, f"'{path}'"), notes=notes, given=True)


def _dataset(name: str, made: _Made, train: Rows, out: Rows) -> Dataset:
    centre = made.points[train].mean(0)
    with np.errstate(over="ignore"):
        spreads = np.sqrt(((made.points[train] - centre) ** 2).mean(0))
        scale = float(np.sqrt(((made.points[train] - centre) ** 2).mean()))
    if not 0 < scale < np.inf:
        raise UserError(f"data set '{name}': points of a spread of {scale:g} can be shown to no network: scale them")
    plane = Plane((float(centre[0]), float(centre[1])), scale, made.modes, made.spread, made.given)
    rows = plane.inside(made.points)
    labels = (None, None) if made.labels is None else (made.labels[train], made.labels[out])
    names = None if made.labels is None else tuple(map(str, range(int(made.labels.max()) + 1)))
    notes = made.notes
    if spreads.min() * NARROW < spreads.max():
        wide, narrow = "xy"[spreads.argmax()], "xy"[spreads.argmin()]
        said = f"{spreads.max() / spreads.min():.2g} times as far as" if spreads.min() else "and not"
        notes += (f"they spread along {wide} {said} along {narrow}, and are shown at one scale for both",)
    data = image_dataset(name, rows[train], labels[0], rows[out], labels[1], names, notes)
    return replace(data, plane=plane)


def _gaussians(modes: Coordinates, spread: float, rng: np.random.Generator) -> _Made:
    """Equally often of each."""
    labels = rng.integers(len(modes), size=COUNT)
    return _Made(modes[labels] + spread * rng.standard_normal((COUNT, 2)), labels, modes, spread)


def _ring(rng: np.random.Generator) -> _Made:
    angles = np.arange(8) * np.pi / 4
    return _gaussians(2 * np.stack([np.cos(angles), np.sin(angles)], 1), 0.02, rng)


def _grid(rng: np.random.Generator) -> _Made:
    places = np.arange(-4.0, 5.0, 2.0)
    return _gaussians(np.stack(np.meshgrid(places, places), -1).reshape(-1, 2), 0.05, rng)


def _moons(rng: np.random.Generator) -> _Made:
    labels, angle = rng.integers(2, size=COUNT), rng.uniform(0, np.pi, COUNT)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return _Made(points + 0.05 * rng.standard_normal((COUNT, 2)), labels)


def _spiral(rng: np.random.Generator) -> _Made:
    turn = np.sqrt(rng.uniform(0, 1, COUNT))  # evenly along the arm
    angle = 4 * np.pi * turn
    points = 3 * turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _Made(points + 0.05 * rng.standard_normal((COUNT, 2)))


_MAKE: dict[str, Callable[[np.random.Generator], _Made]] = {
    "ring": _ring,
    "grid": _grid,
    "moons": _moons,
    "spiral": _spiral,
}
