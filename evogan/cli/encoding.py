"""What the encoder of a trained GAN says of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.cli.common import Json, Runs, StoreURL, Trained, console, learning, print_json, say, teller
from evogan.cli.critics import TABLES, write_table
from evogan.cli.options import takes
from evogan.cli.training import COLUMNS, output_file
from evogan.errors import counted
from evogan.settings import GANSettings
from evogan.settings.doors import CRITIC

if TYPE_CHECKING:
    import pandas as pd

    from evogan.data import Dataset


@takes(CRITIC)
def encode(
    generator: Trained,
    data: Annotated[str, typer.Option(help="Images: a name, a folder, an .npz, .npy or .parquet.")],
    to: Annotated[Path, typer.Option(help="All codes, a row an image: a .parquet or .csv.")] = Path("codes.parquet"),
    n: Annotated[int, typer.Option("-n", min=1, max=500, help="How many reconstructions are shown.")] = 32,
    picture: Annotated[Path, typer.Option(help="Images, evenly spaced among all, above their reconstructions.")] = Path(
        "reconstructions.png"
    ),
    map_: Annotated[Path, typer.Option("--map", help="A map of the codes, coloured by class.")] = Path("code_map.png"),
    as_json: Json = False,
    runs: Runs = None,
    store: StoreURL = None,
    **asked: Any,
) -> None:
    """Images to codes and back, by a GAN that has an encoder."""
    import numpy as np
    import torch

    from evogan import api
    from evogan.data.dataset import spread
    from evogan.data.load import called, load_dataset
    from evogan.evaluation.codes import pairs, plane
    from evogan.evaluation.grid import grid_png
    from evogan.fitness import to_unit_range
    from evogan.report.code_map import draw
    from evogan.runs.gans import GANProblem

    to = output_file(to, *TABLES)
    picture, map_ = (output_file(path, ".png", data=data) for path in (picture, map_))
    coder = api.load(generator, runs=runs, store=store, plugins=asked.pop("plugins", ()))
    coder.check_encodes()
    spec = GANProblem(GANSettings(data=data, **asked)).spec
    with learning(console()) as tell:
        dataset = load_dataset(spec, tell, least=0)
    coder.check_served(dataset)
    teller(console())(dataset.describe())
    names, order = called(spec)
    both = [part for part in (dataset.images, dataset.held_out) if len(part)]
    found = [coder.encode(torch.tensor(part[at : at + 1000])) for part in both for at in range(0, len(part), 1000)]
    code = {name: torch.cat([each[name] for each in found]) for name in coder.code}
    table = _table(dataset, names, {name: x.numpy() for name, x in code.items()}).iloc[order]
    code = {name: x[order] for name, x in code.items()}
    write_table(table, to)
    rows = spread(np.arange(len(table)), n)
    shown = to_unit_range(torch.tensor(np.stack([_image(dataset, row) for row in order[rows]])))
    columns = min(len(rows), COLUMNS)
    picture.write_bytes(
        grid_png(pairs(shown, coder.decode({name: x[rows] for name, x in code.items()}), columns), columns)
    )
    map_.write_bytes(draw(plane(code), table["class"].tolist() if "class" in table else None))
    if as_json:
        files = {"codes": str(to), "picture": str(picture), "map": str(map_)}
        print_json({"images": len(table), "code": coder.code, **files})
        return
    say(f"{counted(len(table), 'image')}: {', '.join(f'{name} ({size})' for name, size in coder.code.items())}")
    for what, path in (("codes", to), ("picture", picture), ("map", map_)):
        say(f"{what:<7}  {path}")


def _table(dataset: Dataset, names: list[str], code: dict[str, Any]) -> pd.DataFrame:
    """A row an image: image, by `names`, part, class if there are any, then of each part its numbers; of a category
    first which."""
    import pandas as pd

    from evogan.evaluation.codes import CATEGORY

    columns: dict[str, Any] = {"image": names}
    columns["part"] = ["train"] * len(dataset.images) + ["held out"] * len(dataset.held_out)
    if dataset.class_count is not None and dataset.labels is not None and dataset.held_out_labels is not None:
        called = dataset.class_names or [str(i) for i in range(dataset.class_count)]
        columns["class"] = [called[y] for y in (*dataset.labels.tolist(), *dataset.held_out_labels.tolist())]
    for name, numbers in code.items():
        if name == CATEGORY:
            columns[name] = numbers.argmax(1)
        columns |= {f"{name}_{i}": numbers[:, i] for i in range(numbers.shape[1])}
    return pd.DataFrame(columns)


def _image(dataset: Dataset, row: int) -> Any:
    n = len(dataset.images)
    return dataset.images[row] if row < n else dataset.held_out[row - n]
