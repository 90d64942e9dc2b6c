"""What a trained critic says of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.cli.common import Json, Runs, StoreURL, console, learning, print_json, say, teller
from evogan.cli.options import takes
from evogan.cli.training import COLUMNS, output_file
from evogan.errors import UserError, unknown
from evogan.settings import GANSettings
from evogan.settings.doors import CRITIC, picked

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from evogan.evaluation.critic import Critic

TABLES = (".csv", ".parquet")


@takes(CRITIC)
def critic(
    players: Annotated[
        str, typer.Argument(help="A players.safetensors, the folder of a training, or a run (its best).")
    ],
    data: Annotated[str, typer.Option(help="Images to rank: a name, a folder, an .npz, .npy or .parquet.")],
    against: Annotated[str | None, typer.Option(help="Other images: how well is --data told from them?")] = None,
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="Given twice: how well is the one told from the other?")
    ] = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="Only images that are held out of a training.")] = False,
    n: Annotated[int, typer.Option("-n", min=1, max=500, help="How many of the best and worst are shown.")] = 8,
    output: Annotated[Path | None, typer.Option("-o", help="All scores: a .csv or .parquet.")] = None,
    picture: Annotated[Path, typer.Option(help="The best images, below them the worst.")] = Path("critic.png"),
    seed: Annotated[int, typer.Option(help="Of the batches, for a critic that looks at whole ones.")] = 0,
    runs: Runs = None,
    store: StoreURL = None,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Rank images by a trained critic, most real first; how well it tells one kind from another."""
    import numpy as np
    import torch

    from evogan import api
    from evogan.evaluation.critic import auc
    from evogan.evaluation.grid import grid_png
    from evogan.fitness import to_unit_range

    if class_ and (len(class_) != 2 or class_[0] == class_[1] or against):
        raise UserError("--class is given twice, with two classes, and without --against")
    picture = output_file(picture, ".png", data=data)
    if output is not None:
        output = output_file(output, *TABLES)
    asker = api.load_critic(players, runs=runs, store=store, plugins=asked.pop("plugins", ()))
    images, table, fingerprint = _scored(asker, data, held_out, seed, asked)
    found: dict[str, Any] = {"images": len(table), "in_batches": asker.in_batches}
    found["trained_on"] = not held_out and asker.facts.get("fingerprint") == fingerprint
    if class_:
        one, other = (_of_class(table, name) for name in class_)
        found["auc"] = {"of": class_[0], "against": class_[1], "value": auc(one, other)}
    if against:
        _, others, _ = _scored(asker, against, held_out, seed, {k: v for k, v in asked.items() if k != "classes"})
        found["auc"] = {"of": data, "against": against, "value": auc(_values(table), _values(others))}
    order = np.argsort(-_values(table), kind="stable")
    best, worst = order[:n], order[::-1][:n][::-1]
    fill = -n % COLUMNS if n > COLUMNS else 0  # so that the worst begin a row of their own
    chosen = [to_unit_range(torch.tensor(images[rows])) for rows in (best, worst)]
    empty = chosen[0].new_full((fill, *chosen[0].shape[1:]), -1.0)
    picture.write_bytes(grid_png(torch.cat([chosen[0], empty, chosen[1]]), min(n, COLUMNS)))
    if output is not None:
        write_table(table.iloc[order], output)
    shown = [table.iloc[rows].to_dict("records") for rows in (best, worst)]
    if as_json:
        print_json(
            found
            | {
                "best": shown[0],
                "worst": shown[1],
                "picture": str(picture),
                "scores": None if output is None else str(output),
            }
        )
        return
    for title, records in zip(("best", "worst"), shown, strict=True):
        for row in records:
            what = (str(row[name]) for name in ("image", "part", "class") if name in row)
            say("  ".join([f"{title:<5}", f"{row['score']:>10.4g}", *what]))
    if asker.in_batches:
        say("this critic looks at whole batches: what it says of an image depends a little on those beside it")
    if found["trained_on"]:
        say("it was trained on some of these images: --held-out leaves them out")
    if "auc" in found:
        say(f"AUC {found['auc']['value']:.4f}: of '{found['auc']['of']}' above '{found['auc']['against']}'")
    say(f"picture  {picture}")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As one of `TABLES`, by what its name ends in."""
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)


def _scored(
    asker: Critic, data: str, held_out: bool, seed: int, asked: dict[str, Any]
) -> tuple[np.ndarray[Any, Any], pd.DataFrame, str]:
    """Images, uint8 (N, C, H, W); a table with a row each: image, part, class if there are any, score; fingerprint."""
    import numpy as np
    import pandas as pd

    from evogan.data import load_dataset
    from evogan.runs.gans import GANProblem

    with learning(console()) as tell:
        problem = GANProblem(GANSettings.of(data=data, **picked(GANSettings, asked)), tell=tell)
        dataset = load_dataset(problem.spec, tell, least=0)
    teller(console())(dataset.describe())
    asker.check_served(dataset)
    first = len(dataset.images) if held_out else 0
    images = np.concatenate([dataset.images, dataset.held_out])[first:]
    columns: dict[str, Any] = {"image": problem.image_names}
    columns["part"] = ["train"] * len(dataset.images) + ["held out"] * len(dataset.held_out)
    labels = None
    if dataset.labels is not None and dataset.held_out_labels is not None and dataset.class_names:
        names = dataset.class_names
        columns["class"] = [names[label] for label in (*dataset.labels.tolist(), *dataset.held_out_labels.tolist())]
        if asker.classes:
            labels = [asker.classes.index(name) for name in columns["class"]][first:]
    table = pd.DataFrame(columns)[first:].reset_index(drop=True)
    with learning(console()) as tell:
        line = f"{asker.path.name}: {len(images):,} images of '{data}' are ranked"
        table["score"] = asker.score(images, labels, seed, lambda done: tell(line, done))
    return images, table, dataset.fingerprint


def _values(table: pd.DataFrame) -> np.ndarray[Any, Any]:
    return table["score"].to_numpy()


def _of_class(table: pd.DataFrame, name: str) -> np.ndarray[Any, Any]:
    classes = sorted(set(table["class"])) if "class" in table else []
    if name not in classes:
        raise unknown("class", name, classes) if classes else UserError("--class: these images have no classes")
    return _values(table[table["class"] == name])
