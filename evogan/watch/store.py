"""All that is watched of a store: one look at a time, and only at what somebody looks at."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from evogan.engine.live import RUN, Live
from evogan.engine.store import Store
from evogan.errors import UserError, unknown
from evogan.families import image_fields
from evogan.files import read_small
from evogan.report import facts
from evogan.report import training_figures as figures
from evogan.report.grids import LARGEST_FILE
from evogan.watch import pages
from evogan.watch.run import Moment, Order, WatchedRun, status_of

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.evaluation.architecture import Player

GRID = re.compile(r"(samples(-\d{1,3})?|codes|reconstructions|code_map)\.png")
PNG = b"\x89PNG\r\n\x1a\n"
BLANK = base64.b64decode(  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
READING = 0.5  # seconds that a look may read on for: of more it shows what there is so far
CLASSES = 10  # of which networks are drawn where the GAN is given some


@dataclass(frozen=True)
class Drawn:
    """Parts of a page by their ids, and the version of its wall."""

    parts: dict[str, str]
    wall: int = 0


class WatchedStore:
    """Its runs, or those with these `names`; threads take turns. Nothing is written.

    Errors, in every method: UserError for what is not there or damaged.
    """

    def __init__(self, store: Store, title: str, names: Sequence[str] | None = None) -> None:
        store.database.read_only = True
        self.store, self.title, self.place = store, title, str(store.database.name)
        self._names = names
        self._runs: dict[str, WatchedRun] = {}
        self._drawn: dict[tuple[str, str], tuple[int, str]] = {}
        self._turn = RLock()

    # --- runs

    def names(self) -> list[str]:
        """Newest first."""
        with self._turn:
            there = self.store.names()
        return [name for name in reversed(there) if self._names is None or name in self._names]

    def run(self, name: str, seconds: float = math.inf) -> WatchedRun:
        """As far as it is, or can be read in about so long."""
        with self._turn:
            run = self._opened(name)
            run.refresh(seconds)
            return run

    def _opened(self, name: str) -> WatchedRun:
        if name not in self._runs:
            if name not in (names := self.names()):
                raise unknown("run", name, names)
            self._runs[name] = WatchedRun(self.store, name)
        return self._runs[name]

    def front(self) -> str:
        """A line a run: at first what their drivers told, and from look to look more of what is read of them."""
        with self._turn:
            lines, damaged, told = [], [], Live(self.store.database).runs()
            end = monotonic() + READING
            for name in self.names():
                try:
                    run = self._opened(name)
                    status = status_of(self.store, name, told.get(name))
                    if monotonic() < end:
                        run.refresh(end - monotonic())
                    lines.append(pages.line(run, status))
                except UserError as error:
                    damaged.append((name, str(error)))
        return pages.render("runs.html.j2", lines=lines, damaged=damaged)

    def look(self, name: str) -> Drawn:
        """The parts of a run's page, those that are as they were from the time before."""
        with self._turn:
            run = self.run(name, READING)
            moment = Moment.of(self.store, name)
            parts = {"head": pages.head(run, moment), "now": pages.now(run, moment)}
            parts |= {what: self._once(run, what, draw) for what, draw in _SLOW.items()}
            return Drawn(parts, run.version)

    def _once(self, run: WatchedRun, what: str, draw: Callable[[WatchedRun], str]) -> str:
        version, html = self._drawn.get((run.name, what), (-1, ""))
        if version != run.version:
            html = draw(run)
            self._drawn[run.name, what] = run.version, html
        return html

    def wall(self, name: str, order: Order, page: int) -> str:
        with self._turn:
            return pages.wall(self.run(name, READING), order, page)

    def page(self, name: str, order: Order, number: int, query: str) -> str:
        with self._turn:
            drawn, run = self.look(name), self._runs[name]
            wall = pages.wall(run, order, number)
        return pages.render(
            "run.html.j2", title=self.title, run=run, parts=drawn.parts, wall=wall, query=query, version=drawn.wall
        )

    # --- genomes

    def genome(self, name: str, number: int) -> pages.GenomePage:
        with self._turn:
            run = self.run(name)
            if number not in run.rows:
                raise UserError(f"run '{name}' has no proposal {number}")
            return pages.GenomePage(run, run.rows[number], run.known.get(number))

    def genome_page(self, name: str, number: int) -> str:
        with self._turn:
            page = self.genome(name, number)
            columns, rows = pages.score_rows(page.run, page.evaluation)
            return pages.render(
                "genome.html.j2",
                title=self.title,
                run=page.run,
                page=page,
                genes=page.genes,
                columns=columns,
                rows=rows,
                last=max(page.run.rows),
                beside=page.parents[0] if page.parents else page.run.leader.number if page.run.leader else "",
                now="" if page.told else self.trains(name, number).parts["now"],
            )

    def trains(self, name: str, number: int) -> Drawn:
        """What is seen of a proposal that is not evaluated yet; the wall is at 1 once it is."""
        with self._turn:
            run, moment = self.run(name), Moment.of(self.store, name)
            return Drawn({"now": pages.now(run, moment, number)}, int(number in run.known))

    def beside(self, name: str, numbers: Sequence[int]) -> str:
        with self._turn:
            both = [self.genome(name, number) for number in numbers]
            run = both[0].run
            return pages.render(
                "beside.html.j2",
                title=self.title,
                run=run,
                pages=both,
                tables=[pages.score_rows(run, page.evaluation) for page in both],
                genes=pages.gene_rows(run, both[0].row.genome, [both[1].row.genome]),
            )

    def training(self, name: str, number: int) -> str:
        """Its curves, and what its networks look like from the inside: as the page of a training has them."""
        evaluation = self.genome(name, number).evaluation
        if evaluation is None:
            return ""
        drawn = {
            "Losses": figures.losses(evaluation),
            "Losses, normalised": figures.normalized(evaluation),
            "FID": figures.fid(evaluation),
            "Telling classes apart": figures.errors(evaluation),
            "Shares": figures.shares(evaluation),
            "Gradient norms": figures.gradients(evaluation),
            **{f"Singular values: {p}": figures.singular(evaluation, p) for p in figures.players(evaluation)},
        }
        return pages.render("training.part.html.j2", figures=list(drawn.items()))

    def networks(self, name: str, number: int) -> str:
        """Layer by layer."""
        page = self.genome(name, number)
        _, task = self.store.tasks().get(page.row.task, ("", {}))
        why, players = "", list["Player"]()
        try:
            from evogan.evaluation.architecture import architecture

            fields = image_fields(int(task["image_size"]), int(task["channels"]), CLASSES)
            players = list(architecture(page.row.genome.now, fields))
        except KeyError:
            why = "Its task says nothing of images."
        except ImportError:
            why = "They are drawn where torch is installed."
        except (UserError, RuntimeError, ValueError, TypeError) as error:
            why = str(error)
        named = [(f"#{number}", players)] if players else []
        return pages.render("networks.part.html.j2", architectures=named, widest=facts.widest(named), why=why)

    # --- images

    def grid(self, evaluation: int, name: str) -> bytes:
        """A PNG among an evaluation's files. Errors: UserError for all else."""
        if not GRID.fullmatch(name):
            raise UserError(f"no image '{name}'")
        with self._turn:
            identity = self._identity(evaluation)
            folder = self.store.files(identity, self.store.evaluations_of([evaluation], whole=False)[0])
        return self._image(folder / name)

    @lru_cache(maxsize=4096)  # noqa: B019  (there is one store)
    def _identity(self, evaluation: int) -> tuple[str, str, float, int]:
        found = self.store.identity(evaluation)
        if found is None:
            raise UserError(f"no evaluation {evaluation}")
        return found

    def _image(self, path: Path) -> bytes:
        """Nothing outside the store's folder, whatever a link in it says."""
        content = b""
        with suppress(OSError, UserError):
            if path.resolve(strict=True).is_relative_to(self.store.folder.resolve()):
                content = read_small(path, LARGEST_FILE)
        if not content.startswith(PNG):
            raise UserError(f"no image '{path.name}'")
        return content

    def live_grid(self, name: str, trial: str) -> bytes:
        """Of a trial that trains; nothing to be seen, where it has just ended."""
        with self._turn:
            self._opened(name)
            content = b"" if trial == RUN else Live(self.store.database).grid(name, trial)
        return content if content.startswith(PNG) else BLANK


_SLOW: dict[str, Callable[[WatchedRun], str]] = {
    "best": lambda run: pages.render(
        "figure.part.html.j2",
        svg=pages.best_so_far(run),
        title="Best so far",
        caption="A dot is a proposal, the line the best so far; a cross one that failed.",
        note="Nothing completed yet.",
    ),
    "population": lambda run: pages.render(
        "figure.part.html.j2",
        svg=pages.population(run),
        title="Who came from whom",
        caption="Lines lead from parents to children; green, the best and all that it came from.",
        note="No proposal has parents, as far as the strategy says.",
    ),
    "failures": pages.failures,
}
