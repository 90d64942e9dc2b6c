"""Sample grids, as pages embed them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.families import family_of
from evogan.files import read_small
from evogan.genes import GENES
from evogan.genome import Value
from evogan.report.facts import Generation, metric_name, short

ACROSS, CORNER = 8, 4  # images in a row of a grid of samples; in one of what is cut out of it
LEVELS = "levels.png"
MOST_GENERATIONS = 12  # in a strip
LARGEST_FILE = 100_000_000  # bytes
LARGEST_PNG = 100_000  # bytes; what is larger is embedded as a JPEG of less pixels, so that the page stays small


@dataclass(frozen=True)
class Grid:
    """Images side by side: `name` is that of the PNG beside the page."""

    name: str
    title: str
    note: str
    png: bytes

    @property
    def uri(self) -> str:
        """The image as the address of itself."""
        return _data_uri(self.png)


def sample_grids(run: RunHistory) -> Iterator[Grid]:
    """Real images, the published GANs' and the best genome's, as far as there are any."""
    yield from real_grid(run)
    for name, key, _ in run.facts.reference:
        yield from reference_grid(run, name, key)
    yield from best_grid(run)


def real_grid(run: RunHistory) -> Iterator[Grid]:
    path = run.store.task_file(run.facts.task, "real.png")
    if path.is_file():
        yield Grid("real", "real", run.facts.data, read_small(path, LARGEST_FILE))


def reference_grid(run: RunHistory, name: str, key: str) -> Iterator[Grid]:
    stem = Path(name).stem
    yield from _samples(run, f"reference-{stem}", stem, key)


def best_grid(run: RunHistory) -> Iterator[Grid]:
    if run.best:
        yield from _samples(run, "best", f"evolved #{run.best.row.number}", run.best.row.key)


def training_grids(run: RunHistory) -> Iterator[Grid]:
    """The best genome's best training as it went on, a grid a score checkpoint; none where they were not kept."""
    training = run.best_training(run.best.row.key) if run.best else None
    if training is None:
        return
    folder = run.store.files(training.identity, training.evaluation)
    yield from checkpoint_grids(folder, training.evaluation.scores, run.judge.metric)


def checkpoint_grids(folder: Path, scores: Iterable[Mapping[str, float]], metric: str = "fid") -> Iterator[Grid]:
    """Of an evaluation's folder, a grid a score checkpoint; none where they were not kept."""
    for point in scores:
        percent = round(100 * point.get("fidelity", 0.0))
        path = folder / f"samples-{percent}.png"
        if path.is_file():
            yield Grid(path.stem, f"{percent} %", _judged(metric, point), read_small(path, LARGEST_FILE))


def code_grids(folder: Path, genome: Mapping[str, Value]) -> Iterator[Grid]:
    """Of an evaluation's folder, what its codes do; none where there is no encoder."""
    code = family_of(genome).code(GENES.complete(genome))
    numbers = "continuous code" if "continuous" in code else "coordinate of the latent" if "latent" in code else ""
    along = f"along it each {numbers} from low to high" if numbers else "samples of it along the row"
    swept = f"a row a category, {along}" if "category" in code else f"a row a {numbers}, from low to high"
    notes = {
        "codes": ("codes", swept),
        "reconstructions": ("reconstructions", "below held-out images, row by row"),
        "code_map": ("map of codes", "of held-out images, coloured by class"),
    }
    for name, (title, note) in notes.items() if code else ():
        path = folder / f"{name}.png"
        if path.is_file():
            yield Grid(name, title, note, read_small(path, LARGEST_FILE))


def level_grids(folder: Path) -> Iterator[Grid]:
    """Of an evaluation's folder, images as they grow; none of a GAN without levels."""
    path = folder / LEVELS
    if path.is_file():
        note = "what the levels make of a latent, one after another, smallest first and enlarged"
        yield Grid(path.stem, "levels", note, read_small(path, LARGEST_FILE))


def best_level_grids(run: RunHistory) -> Iterator[Grid]:
    """Those of the best genome's best training."""
    training = run.best_training(run.best.row.key) if run.best and run.settings.gan else None
    if training is not None:
        yield from level_grids(run.store.files(training.identity, training.evaluation))


def best_code_grids(run: RunHistory) -> Iterator[Grid]:
    """Those of the best genome's best training."""
    training = run.best_training(run.best.row.key) if run.best and run.settings.gan and run.genes else None
    if training is not None and run.best is not None:
        folder = run.store.files(training.identity, training.evaluation)
        yield from code_grids(folder, run.best.row.genome)


def generation_grids(run: RunHistory, found: Sequence[Generation]) -> Iterator[Grid]:
    """A few images of the best of each generation, of at most as many generations as a strip has room for."""
    picked = sorted({round(i * (len(found) - 1) / (MOST_GENERATIONS - 1)) for i in range(MOST_GENERATIONS)})
    for one in (found[i] for i in picked) if found else ():
        folder = run.store.files(one.leader.identity(one.leader.standing), one.leader.evaluation)
        if (folder / "samples.png").is_file():
            png = corner(read_small(folder / "samples.png", LARGEST_FILE))
            note = f"{metric_name(run.judge.metric)} {short(one.best)}, #{one.leader.row.number}"
            yield Grid(f"generation-{one.number}", f"generation {one.number}", note, png)


def corner(png: bytes) -> bytes:
    """The first images of a grid of rows of `ACROSS`: `CORNER` rows of as many."""
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    try:
        with Image.open(BytesIO(png), formats=["PNG"]) as image:
            side = round(image.width * CORNER / ACROSS)
            image.crop((0, 0, side, min(side, image.height))).save(buffer, "PNG")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"a grid of images is damaged: {error}") from None
    return buffer.getvalue()


def _samples(run: RunHistory, name: str, title: str, key: str) -> Iterator[Grid]:
    """Of the genome's best training: what `Run.load_best` loads."""
    training = run.best_training(key)
    if training is not None:
        path = run.store.files(training.identity, training.evaluation) / "samples.png"
        if path.is_file():
            note = f"{_judged(run.judge.metric, training.evaluation.kept)}, its best training"
            yield Grid(name, title, note, read_small(path, LARGEST_FILE))


def _judged(metric: str, point: Mapping[str, float]) -> str:
    return f"{metric_name(metric)} {short(point.get(metric))}"


def _data_uri(png: bytes) -> str:
    kind, content = "png", png
    if len(png) > LARGEST_PNG:
        from io import BytesIO

        from PIL import Image

        buffer = BytesIO()
        try:
            image = Image.open(BytesIO(png), formats=["PNG"]).convert("RGB")
            image.thumbnail((640, 640))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"a grid of images is damaged: {error}") from None
        image.save(buffer, "JPEG", quality=85)
        kind, content = "jpeg", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
