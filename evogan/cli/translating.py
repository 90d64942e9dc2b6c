"""What a trained translator makes of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evogan.cli.common import Json, console, learning, print_json, say
from evogan.cli.options import takes
from evogan.cli.training import COLUMNS, output_file
from evogan.files import check_folder, expand
from evogan.settings import GANSettings
from evogan.settings.doors import TRANSLATE


@takes(TRANSLATE)
def translate(
    generator: Annotated[Path, typer.Argument(help="The generator.safetensors of a GAN that makes images of images.")],
    data: Annotated[str, typer.Option(help="Sources; with --pairs true images: a name, a folder, a file.")],
    to: Annotated[Path, typer.Option(help="Folder for what is made, a PNG a source.")] = Path("translated"),
    n: Annotated[int, typer.Option("-n", min=1, max=500, help="How many are shown.")] = 24,
    picture: Annotated[
        Path, typer.Option(help="Sources, evenly spaced among all, each beside what is made of it, and its true image.")
    ] = Path("translated.png"),
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Images from images, by a GAN that was trained on pairs."""
    import numpy as np
    import torch
    from PIL import Image

    from evogan import api
    from evogan.data.load import image_names, load_dataset
    from evogan.evaluation.grid import grid_png
    from evogan.evaluation.scoring import to_bytes
    from evogan.evaluation.translations import SOURCES, beside
    from evogan.fitness.likeness import likeness
    from evogan.runs.gans import GANProblem
    from evogan.training.feed import prepared

    picture, folder = output_file(picture, ".png"), expand(to)
    check_folder(folder)
    translator = api.load(generator, plugins=asked.pop("plugins", ()))
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
    made = translator.translate(sources)
    names = [_file(name, spec.name) for name in image_names(spec)]
    for name, image in zip(names, to_bytes(made).numpy(), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
    rows = np.unique(np.linspace(0, len(names) - 1, n).round().astype(int))
    shown = beside(prepared(sources[rows]), made[rows], *([prepared(images[rows])] if paired else []))
    each = len(shown) // len(rows)
    picture.write_bytes(grid_png(shown, each * max(1, COLUMNS // each)))
    found = likeness(made, prepared(images)) if paired else {}
    if as_json:
        print_json({"images": len(names), "folder": str(folder), "picture": str(picture), **found})
        return
    what = "".join(f", {name.upper()} {value:.4g}" for name, value in found.items())
    say(f"{len(names):,} images{what}")
    say(f"folder   {folder}")
    say(f"picture  {picture}")


def _file(name: str, data: str) -> Path:
    """Of what is made of an image, within the folder: as its source lies, or is numbered."""
    folder = expand(data)
    path = Path(name)
    return (path.relative_to(folder) if folder.is_dir() else path).with_suffix(".png")
