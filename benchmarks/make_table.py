"""Make a table under `benchmarks/tables/` of what `collect.py` left in a store.

python benchmarks/make_table.py digits-wdcgan_wide STORE wdcgan_wide digits 10
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from collect import CHECKPOINTS, settings

from evogan.campaign.landscape import Landscape, tabulate
from evogan.engine import Store
from evogan.genes import GENES
from evogan.space import load_space


def main(name: str, folder: Path, space: str, data: str, kimg: float) -> None:
    gan = settings(data, kimg)
    task, _ = gan.prepare()
    task = replace(task, checkpoints=CHECKPOINTS)
    store = Store.existing(folder)
    made = Landscape(name, tabulate(store, task), load_space(space, GENES), {})
    provenance = next(evaluation.provenance for _, _, evaluation in store.evaluations())
    facts = {
        "task": task.identity | {"data": task.name},
        "provenance": dict(provenance),
        "genomes": int(made.table["key"].nunique()),
        "rows": len(made.table),
        "failed": int((made.table["status"] != "completed").sum()),
        "noise of log FID": round(float(made.noise[-1, -1] ** 0.5), 3),
        "model": {measure: round(value, 3) for measure, value in made.quality().items()},
    }
    path = Path(__file__).parent / "tables" / f"{name}.parquet"
    replace(made, facts=facts).write(path)
    print(path, facts)


if __name__ == "__main__":
    name, folder, space, data, kimg = sys.argv[1:]
    main(name, Path(folder), space, data, float(kimg))
