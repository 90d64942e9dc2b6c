"""Tables of recorded trainings: collected by a campaign, and replayed by any strategy in seconds."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from itertools import groupby, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from evogan.bench.surrogate import MODEL, Surrogate, load_table
from evogan.caller import undisturbed
from evogan.campaigns.carry_out import run_campaign
from evogan.campaigns.plan import PlannedRun, plain, read_campaign
from evogan.comparison import Comparison
from evogan.engine import Broker, Judge, Listener, Loop, Store, carry_out
from evogan.engine.executors.simulated import SimulatedExecutor
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.files import check_folder, expand, file_name
from evogan.files.processes import cores
from evogan.genes import GENES
from evogan.runs.checks import check
from evogan.runs.gans import GANProblem
from evogan.runs.launch import Outside, launch
from evogan.runs.place import Place
from evogan.runs.plan import Plan, settle_search
from evogan.runs.table import Table, tabulate
from evogan.settings import BenchSettings, GANSettings, Resources, SearchSettings, doors
from evogan.settings.signature import takes
from evogan.space import Space
from evogan.stable import digest
from evogan.strategies import make_strategy
from evogan.trial import Task, Trial
from evogan.version import __version__

FINALISTS, FRESH = 3, 5  # of a replay: winners that are checked, and on how many fresh replicates
LEAST = 10  # genomes that completed, below which nothing is said of a model
HERE = ("data_dir", "download", "device")  # of the settings: what is said of a machine, not of a table


@dataclass(frozen=True)
class Collected:
    """`tables` that were written; `crashed`: the runs whose trainings may be missing, and why."""

    tables: list[Path]
    crashed: dict[str, str]


@undisturbed()
def collect_tables(
    path: str | Path,
    to: str | Path,
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Collected:
    """Carry out a campaign, or go on with it, and write a table DATA-SPACE into `to` for each of its data and spaces.

    One that lies there grows: its trainings stay, and those that it lacks are added.
    Errors: UserError as of `evogan.run_campaign`, and if what lies there is of another space or task.
    """
    to = expand(to)
    check_folder(to)
    known = read_campaign(path).runs
    problems = {(run.data, run.space): run for run in known}
    for name, times in Counter(_table_name(data, space.name) for data, space in problems).items():
        if times > 1:
            raise UserError(f"{path}: two tables would be named '{name}': call a space or a data set otherwise")
    for run in problems.values():  # before anything is trained
        if (table := _lies_there(to / f"{_table_name(run.data, run.space.name)}.parquet")) is not None:
            problem = GANProblem(GANSettings.of(**run.gan), Place.of(runs, store).features)
            _check_space(table, problem.fitting(run.space))
            _check_task(table, problem)
    crashed = run_campaign(path, runs=runs, store=store, workers=workers, say=say).crashed
    kept = Place.of(runs, store).existing()
    begun, written = kept.names(), []
    for (data, space), group in groupby(sorted(known, key=_problem_of), key=_problem_of):
        histories = [history for run in group if run.name in begun and (history := RunHistory(kept, run.name)).history]
        if histories:  # else all of them crashed
            written.append(_write(histories, to / f"{_table_name(data, space)}.parquet"))
    return Collected(written, crashed)


def _table_name(data: str, space: str) -> str:
    return file_name(f"{plain(data)}-{space}")


def _lies_there(path: Path) -> Table | None:
    return Table.read(path) if path.is_file() else None


def _check_space(table: Table, space: Space) -> None:
    """Errors: UserError if genomes of the table would mean something else there."""
    has, asked = table.space.document(), space.document()
    if any(has[part] != asked[part] for part in ("genes", "fixed")):
        raise UserError(f"the table '{table.name}' there is of another space than '{space.name}' is now")


def _problem_of(run: PlannedRun) -> tuple[str, str]:
    return run.data, run.space.name


def _write(runs: Sequence[RunHistory], path: Path) -> Path:
    rows, before = tabulate(runs), _lies_there(path)
    if before is not None:
        rows = pd.concat([before.rows, rows]).drop_duplicates(["key", "replicate"])
        rows = rows.sort_values(["replicate", "key"], ignore_index=True)
    gan = runs[0].settings.gan
    assert gan is not None
    task, _ = GANProblem(gan, Place(runs[0].store.folder).features).prepare()
    settings = {name: value for name, value in asdict(gan).items() if name not in HERE}
    if gan.features and Path(gan.features).suffix:
        settings["features"] = os.path.relpath(gan.features, path.parent)
    told = [e.provenance for run in runs for t in run.history for e in t.evaluations]
    there = [] if before is None else before.facts.get("provenance", [])
    provenance = {str(sorted(one.items())): one for one in (*there, *told)}
    facts = {
        "data": runs[0].facts.data,
        "gan": settings,
        "task": task.identity,
        "provenance": list(provenance.values()),
        "genomes": int(rows["key"].nunique()),
        "rows": len(rows),
        "failed": int((rows["status"] != "completed").sum()),
        "hours of training": round(float(rows["seconds"].sum()) / 3600, 2),
        "origins": rows.drop_duplicates("key")["origin"].value_counts().to_dict(),
    }
    space = Space.from_document(runs[0].settings.space, GENES)  # the zoo knows where genes apply
    table = Table(path.stem, rows, space, facts)
    table.write(path)  # without the model's part first: whatever it may lack, the trainings are there
    with suppress(UserError):  # of no such metric, or of one that may be 0, there is no model
        facts |= _modelled(table, "fid" if "fid" in table.metrics else runs[0].judge.metric)
    table.write(path)
    return path


def _modelled(table: Table, metric: str) -> dict[str, Any]:
    """What the table's model knows. Errors: UserError."""
    model = Surrogate(table, metric)
    found: dict[str, Any] = {}
    with suppress(UserError):
        found[f"noise of log {metric}"] = round(float(model.noise[-1, -1] ** 0.5), 3)
    if table.rows.loc[table.rows["status"] == "completed", "key"].nunique() >= LEAST:
        found["model"] = {name: round(value, 3) for name, value in model.quality().items()}
    return found


# --- replays


@takes(doors.BENCH)
@undisturbed()
def run_bench(
    tables: str | Path | Sequence[str | Path],
    strategies: str | Sequence[str],
    *,
    runs: str | Path = "runs/bench",
    say: Callable[[str], None] = lambda line: None,
    listener: Listener | None = None,
    **asked: Any,
) -> Comparison:
    """Compare strategies on tables: each of them searches each once a seed, and its winners get fresh replicates.

    tables: shipped ones by name, parquet files. say: is told the name of each search as it ends; listener: hears what
    happens within those that train. The runs are kept in `runs`, and are not made again.
    Errors: UserError for whatever does not exist or does not fit.
    """
    Comparison([], asked.get("target"))  # one that is none is told of now
    bench = BenchSettings(**asked)
    given = dict.fromkeys(map(str, [tables] if isinstance(tables, str | Path) else tables))
    chosen = dict.fromkeys([strategies] if isinstance(strategies, str) else strategies)
    if not given or not chosen:
        raise UserError("name at least one table and one strategy")
    read, place = {name: Table.read(name) for name in given}, Place(expand(runs))
    replays = []
    for seed, (name, table), strategy in product(range(bench.seeds), read.items(), chosen):
        settings = _settings(table, strategy, seed, bench)
        answers = digest([table.fingerprint, MODEL]) if bench.kind == "surrogate" else table.fingerprint
        replays.append(Replay(name, bench.kind, answers, strategy, settings))
        _, made = check(replays[-1].name, replays[-1].plan(table.space, place))
        if made.schedules and bench.kind != "live":
            raise UserError(f"strategy '{strategy}' changes genes during a training, of which a table knows nothing")
        if made.fidelities[0] < table.checkpoints[0] and bench.kind != "live":
            least = f"less than {table.checkpoints[0]:g} of a training table '{table.name}' knows nothing"
            raise UserError(f"strategy '{strategy}' asks for {made.fidelities[0]:.3g} of one: of {least}")
    for name, table in read.items():  # what does not fit is told of before anything is written
        if bench.kind == "live":
            _check_task(table, GANProblem(_gan(table), place.features))
        elif isinstance(ground := load_table(name, bench.kind, bench.fitness), Surrogate):
            ground.check()
    carried_out = _train(place, replays, Outside(listener)) if bench.kind == "live" else _spread(place, replays)
    crashed: dict[str, str] = {}
    for name, why in carried_out:
        crashed |= {name: f"crashed: {why}"} if why else {}
        say(name)
    kept = place.existing()
    found = Comparison(
        [RunHistory(kept, replay.name) for replay in replays if replay.name not in crashed],
        bench.target,
        {replay.name: (read[replay.table].name, replay.strategy) for replay in replays},
    )
    found.left_out.update(crashed)
    return found


def _settings(table: Table, strategy: str, seed: int, bench: BenchSettings) -> SearchSettings:
    """Cells have the replicates that they have: none that is fresh."""
    asked = {
        "strategy": strategy,
        "evaluations": bench.evaluations,
        "fitness": bench.fitness,
        "seed": seed,
        "learn_from": "none",
        "window": max(8, 2 * bench.workers),
        "finalists": FINALISTS,
        "confirm": 0 if bench.kind == "table" else FRESH,
    }
    resources = Resources(workers=bench.workers)
    return settle_search(table.space, Place(None), asked, early=True, gan=_gan(table), resources=resources)


def _gan(table: Table) -> GANSettings:
    try:
        return GANSettings.recorded(table.gan)
    except (UserError, TypeError, ValueError) as error:
        raise UserError(f"table '{table.name}': its description has no settings of a GAN ({error})") from None


def _check_task(table: Table, problem: GANProblem) -> None:
    """Errors: UserError if what would be trained here is something else than what the table has."""
    task, _ = problem.prepare()
    recorded = {name: tuple(v) if isinstance(v, list) else v for name, v in table.facts["task"].items()}
    for name, value in task.identity.items():
        if recorded.get(name) != value:
            raise UserError(f"table '{table.name}' was trained with another {name}: {recorded.get(name)}, not {value}")


def _train(place: Place, replays: Sequence[Replay], outside: Outside) -> Iterator[tuple[str, str]]:
    """For real, one after the other; the name of each as it ends, and why, if it crashed."""
    for replay in replays:
        try:
            space = Space.from_document(replay.settings.space, GENES)
            launch(place, replay.name, replay.plan(space, place), outside).close()
        except UserError:
            raise
        except Exception as error:
            yield replay.name, f"{type(error).__name__}: {error}"
        else:
            yield replay.name, ""


def _spread(place: Place, replays: Sequence[Replay]) -> Iterator[tuple[str, str]]:
    """On a simulated clock, on all cores; the name of each as it ends, and why, if it crashed."""
    place.open().close()
    ignored = (signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for this process
    with ProcessPoolExecutor(cores(), get_context("spawn"), signal.signal, ignored) as pool:
        jobs = {pool.submit(replay.carry_out, place): replay.name for replay in replays}
        try:
            for job in as_completed(jobs):
                error = job.exception()
                if isinstance(error, BrokenProcessPool):
                    raise UserError(
                        "a process of run_bench ended: in a script, call it below `if __name__ == '__main__':`; "
                        "else memory may have run out"
                    )
                if isinstance(error, UserError):
                    raise error
                yield jobs[job], f"{type(error).__name__}: {error}" if error else ""
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Replay:
    """A search that is to be made on a table; `fingerprint` is that of what answers, `strategy` as it was asked for."""

    table: str
    kind: str
    fingerprint: str
    strategy: str
    settings: SearchSettings

    @cached_property
    def name(self) -> str:
        """Whatever its outcome depends on is in it, and not where the table lies."""
        settings = asdict(self.settings)
        if (gan := settings["gan"]) and gan["features"]:
            gan["features"] = Path(gan["features"]).name
        all_else = digest([__version__, self.fingerprint, self.kind, settings])[:6]
        return f"{plain(self.table)}-{self.strategy}-s{self.settings.seed}.{all_else}"

    def plan(self, space: Space, place: Place) -> Plan:
        """To train for real what the table has recorded."""
        assert self.settings.gan is not None
        return Plan(self.settings, space, GANProblem(self.settings.gan, place.features))

    def carry_out(self, place: Place) -> None:
        """On a simulated clock, in memory, and then kept; not again if it was."""
        kept = place.open()
        try:
            if not kept.finalists(self.name):
                self._search(kept)
        finally:
            kept.leases.close()
            kept.close()

    def _search(self, kept: Store) -> None:
        settings, at = self.settings, _loaded(self.table, self.kind, self.settings.fitness)
        store, task = Store(), Task(name=self.name)
        facts = {"task": task.key, "data": at.table.facts["data"], "reference": [], "table": at.table.name}
        facts |= {"kind": self.kind, "fingerprint": self.fingerprint[:6]}
        store.add_run(self.name, asdict(settings) | facts)
        strategy = make_strategy(settings.strategy, at.space, settings.seed, settings.options)
        judge = Judge.of(settings.fitness, settings.score, settings.average)
        workers = settings.resources.workers
        assert workers is not None
        broker = Broker(store, SimulatedExecutor(at, workers))
        loop = Loop(
            self.name,
            at.space,
            strategy,
            task,
            judge,
            broker,
            seed=settings.seed,
            evaluations=settings.evaluations,
            window=settings.window,
        )
        carry_out(loop, settings.finalists, settings.confirm)
        _copy(self.name, task, store, kept)


def _copy(run: str, task: Task, store: Store, kept: Store) -> None:
    """A run and its evaluations from one store to another. Done again it changes nothing; finalists come last."""
    kept.add_run(run, store.run(run))
    ids, trials = {}, {}
    for (key, _, fidelity, replicate), genome, evaluation in store.evaluations():
        trial = trials[key] = Trial(genome, key, task, fidelity, replicate)
        ids[evaluation.id] = kept.record(trial, evaluation).id
    for row in store.proposals(run):
        kept.add_proposal(run, trials[row.key], row)
    for tell in store.tells(run):
        kept.add_tell(run, tell.position, tell.number, [ids[id] or 0 for id in tell.evaluations])
    kept.set_finalists(run, store.finalists(run))


_loaded = cache(load_table)  # by each process once
