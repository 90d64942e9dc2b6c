"""Whether exported code has the losses of evogan, for every published genome (docs/export.md).

    python benchmarks/as_code.py    results/code.json, and the lists of docs/export.md

Networks are narrow and batches small, images 16x16 noise: what is compared is arithmetic. In float64 over 50
iterations, to 1e-9; in float32 the first step of the critic, to 1e-5.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import torch
from _record import record

from evogan import shipped
from evogan.export.code import Wanted, unsupported, write_code
from evogan.export.code.compare import furthest, narrow, some_images
from evogan.families import family_of
from evogan.genes import GENES

PAGE = Path(__file__).parent.parent / "docs" / "export.md"
ITERATIONS = 50


def main() -> None:
    files = {name: shipped.read_genome(name) for name in shipped.published()}
    missing = {name: reason for name, file in files.items() if (reason := unsupported(file.genome))}
    found = {}
    for name in sorted(files.keys() - missing):
        file = files[name]
        genome, first = GENES.read(narrow(file.genome)), {"critic_steps": 1, "generator_steps": 1}
        small, short = (
            Wanted(g, 16, 3, 10, 7, 1.0, name, name, "", "") for g in (genome, GENES.read({**genome, **first}))
        )
        data = some_images(small)
        whole = write_code(Wanted(file.genome, 32, 3, 10, 0, 100.0, name, file.title, file.source, ""))
        found[name] = {
            "lines": len(whole.splitlines()),
            "float64": max(furthest(small, *data, ITERATIONS, torch.float64).values()),
            "float32_first": furthest(short, *data, 1, torch.float32)["critic"],
        }
        print(f"{name:<18}", found[name], flush=True)
    record("code", {"iterations": ITERATIONS, "genomes": found, "missing": missing}, quiet=True)
    plain = {name: why for name, why in missing.items() if family_of(files[name].genome).name == "plain"}
    write_lists(list(found), plain)


def write_lists(written: list[str], missing: dict[str, str]) -> None:
    """Into the page."""
    page = PAGE.read_text()
    for mark, lines in (
        ("written", textwrap.wrap(f"{', '.join(f'`{name}`' for name in written)}: {len(written)}.", 170)),
        ("missing", [f"- `{name}`: {why}" for name, why in missing.items()]),
    ):
        text = "\n".join(lines)
        page = re.sub(rf"<!-- {mark} -->\n.*?(?=\n\n|\Z)", f"<!-- {mark} -->\n{text}", page, flags=re.DOTALL)
    PAGE.write_text(page.rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
