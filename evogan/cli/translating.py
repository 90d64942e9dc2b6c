"""What a trained translator makes of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from evogan.cli.common import Json, Runs, StoreURL, Trained, console, learning, print_json, say, teller
from evogan.cli.options import takes
from evogan.cli.training import COLUMNS, check_apart, output_file
from evogan.errors import UserError, counted
from evogan.files import check_folder, expand
from evogan.settings import GANSettings
from evogan.settings.doors import TRANSLATE


@takes(TRANSLATE)
def translate(
    generator: Trained,
    data: Annotated[str, typer.Option(help="Sources; with --pairs true images: a name, a folder, a file.")],
    to: Annotated[Path, typer.Option(help="Folder for what is made, a PNG a source.")] = Path("translated"),
    origin: Annotated[
        str | None, typer.Option(help="Of a GAN between domains: which the sources are of; default: the first.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="And which is made: a name, or a number from 0; default: the last.")
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="The other way round.")] = False,
    n: Annotated[int, typer.Option("-n", min=1, max=500, help="How many are shown.")] = 24,
    picture: Annotated[
        Path,
        typer.Option(
            help="Sources, evenly spaced among all, each beside what is made, the true image, and what comes back."
        ),
    ] = Path("translated.png"),
    as_json: Json = False,
    runs: Runs = None,
    store: StoreURL = None,
    **asked: Any,
) -> None:
    """Images from images, by a GAN that was trained on pairs or on domains; between domains and back again."""
    import numpy as np
    import torch
    from PIL import Image

    from evogan import api
    from evogan.data.dataset import spread
    from evogan.data.load import image_names, load_dataset
    from evogan.evaluation.grid import grid_png
    from evogan.evaluation.translations import SOURCES, beside, to_bytes
    from evogan.fitness.likeness import likeness
    from evogan.runs.gans import GANProblem
    from evogan.training.feed import prepared

    picture, folder = output_file(picture, ".png", data=data), expand(to)
    check_apart(folder, data)
    check_folder(folder)
    translator = api.load(generator, runs=runs, store=store, plugins=asked.pop("plugins", ()))
    translator.check_translates()
    spec = GANProblem(GANSettings(data=data, **asked)).spec
    with learning(console()) as tell:
        dataset = load_dataset(spec, tell, least=0)
    paired = SOURCES in dataset.fields
    fields = [SOURCES, "images"] if paired else ["images", "images"]
    sources, images = (
        torch.cat([torch.tensor(split["images"][field]) for split in (dataset.train, dataset.unseen)])
        for field in fields
    )
    if not translator.domains and (back or origin or target):
        raise UserError("--origin, --target and --back are of GANs between domains: this one was trained on pairs")
    if translator.domains:
        translator.check_served(dataset)
    ends: tuple[int | str, int | str] = (origin or 0, target or -1)
    ends = (ends[1], ends[0]) if back else ends
    made = translator.cross(sources, *ends) if translator.domains else translator.translate(sources)
    teller(console())(dataset.describe())
    names = _files(image_names(spec), expand(data))
    for name, image in zip(names, to_bytes(made).numpy(), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
    rows = spread(np.arange(len(names)), n)
    again = [translator.cross(made[rows], *reversed(ends))] if translator.domains else []
    shown = beside(prepared(sources[rows]), made[rows], *([prepared(images[rows])] if paired else []), *again)
    each = len(shown) // len(rows)
    picture.write_bytes(grid_png(shown, each * max(1, COLUMNS // each)))
    found = likeness(made, prepared(images)) if paired else {}
    if as_json:
        print_json({"images": len(names), "folder": str(folder), "picture": str(picture), **found})
        return
    what = "".join(f", {name.upper()} {value:.4g}" for name, value in found.items())
    say(f"{counted(len(names), 'image')}{what}")
    say(f"folder   {folder}")
    say(f"picture  {picture}")


def _files(names: Sequence[str], data: Path) -> list[Path]:
    """Of what is made of images, within the folder: as these lie, or are numbered. Where several differ in their suffix
    alone it stays before the new one, and so do all where a name would still be that of two."""
    paths = [path.relative_to(data) if path.is_relative_to(data) else path for path in map(Path, names)]
    count = Counter(path.with_suffix("") for path in paths)
    found = [path.with_name(f"{path.name if count[path.with_suffix('')] > 1 else path.stem}.png") for path in paths]
    return found if len(set(found)) == len(found) else [path.with_name(f"{path.name}.png") for path in paths]
