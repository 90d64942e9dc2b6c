"""Population-based training on real trainings: against other searches, and Ray Tune's own on the same trainable.

    python benchmarks/pbt.py               DATA (digits,mnist), SEEDS (10), EVALUATIONS (10), KIMG (5)
    STRATEGIES="pbt;ray" python benchmarks/pbt.py     some of them first; with EVOGAN_RUNS it goes on where it stopped

Each is given EVALUATIONS full trainings of GANs for 8x8 images. The one that each ends up with as its best is trained
anew three times, and what counts is the mean of these FIDs. `pbt` and Ray's have one population of EVALUATIONS members,
the same steps, quantile and resampling. A step of Ray's trainable is the training that evogan's members have: genes
that Ray changes are a change of its schedule. MNIST is read from EVOGAN_DATA.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _record import record

import evogan
from evogan.comparison.statistics import bootstrap_ratio
from evogan.evaluation.evaluator import GANEvaluator
from evogan.genome import Gene, Genome, same
from evogan.genome.schedule import document, from_document, then
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.space import Space, load_space
from evogan.strategies.pbt import STEPS
from evogan.trial import FRESH, Evaluation, GANTask, Trial

DATA = os.environ.get("DATA", "digits,mnist").split(",")
SEEDS, EVALUATIONS = int(os.environ.get("SEEDS", "10")), int(os.environ.get("EVALUATIONS", "10"))
TASK: dict[str, Any] = {"kimg": float(os.environ.get("KIMG", "5")), "samples": 2000, "image_size": 8}
SPACE, FINALISTS, REPLICATES = "wdcgan_wide", 1, 3
QUANTILE, RESAMPLE = 0.2, 0.25
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "pbt": ("pbt", {"population": EVALUATIONS, "quantile": QUANTILE, "resample": RESAMPLE}),
    **{name: (name, {}) for name in ("random", "ga", "dehb")},
}
FAILED = 1e9

# --- evogan's


def of_evogan(data: str, name: str, seed: int, runs: Path) -> list[list[float]]:
    strategy, options = OPTIONS[name]
    run = evogan.search(
        SPACE,
        data,
        strategy=strategy,
        options=options,
        evaluations=EVALUATIONS,
        seed=seed,
        confirm=REPLICATES,
        finalists=FINALISTS,
        references="none",
        name=f"{data}-{name.replace(', ', '-')}-{seed}",
        runs=runs,
        workers=1,
        **TASK,
    )
    return [list(one.values) for one in run.confirmations if one.name.startswith("evolved") and not one.failures]


# --- Ray Tune's


PREPARED: dict[str, tuple[Space, GANTask, GANEvaluator]] = {}  # goes with the trainable to Ray's processes


def prepared(data: str) -> tuple[Space, GANTask, GANEvaluator]:
    if data not in PREPARED:
        problem = GANProblem(GANSettings(data=data, **TASK))
        PREPARED[data] = problem.fitting(load_space(SPACE)), *problem.prepare()
    return PREPARED[data]


class Member:
    """A training that goes on step by step; `genes` are those that it is to have from now on."""

    def __init__(self, data: str, genes: Mapping[str, Any]) -> None:
        self.space, self.task, self.evaluate = prepared(data)
        self.genome: Genome = self.decoded(genes)
        self.earlier: Evaluation | None = None
        self.steps = 0

    def decoded(self, genes: Mapping[str, Any]) -> Genome:
        return self.space.decode([gene.unit(genes[gene.name]) for gene in self.space.genes])

    def become(self, genes: Mapping[str, Any]) -> None:
        now, wanted = self.genome.now, self.decoded(genes)
        changed = {
            gene.name: wanted[gene.name]
            for gene in self.space.changing
            if gene.name in now
            and gene.name in wanted
            and not same(now[gene.name], wanted[gene.name])
            and self.space.may_change(gene.name, now[gene.name], wanted[gene.name])
        }
        if self.steps:
            self.genome = then(self.genome, self.space.key(self.genome), STEPS[self.steps - 1], changed)

    def step(self) -> dict[str, Any]:
        fidelity = STEPS[self.steps]
        trial = Trial(self.genome, self.space.key(self.genome), self.task, fidelity, earlier=self.earlier)
        found = self.evaluate(trial)
        self.earlier, self.steps = replace(found, fidelity=fidelity), self.steps + 1
        fids = [score["fid"] for score in found.scores]
        dead = found.failure is not None or not fids
        best = FAILED if found.failed or not fids else min(fids)
        schedule = json.dumps([dict(self.genome), document(self.genome)])
        return {"fid": FAILED if dead else fids[-1], "best": best, "schedule": schedule}


def of_ray(data: str, name: str, seed: int, runs: Path) -> list[list[float]]:
    import ray
    from ray import tune
    from ray.tune.schedulers import PopulationBasedTraining

    class Trainable(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.member = Member(data, config)

        def step(self) -> dict[str, Any]:
            return self.member.step()

        def save_checkpoint(self, folder: str) -> None:
            kept = self.member.genome, self.member.earlier, self.member.steps
            (Path(folder) / "member.pickle").write_bytes(pickle.dumps(kept))

        def load_checkpoint(self, folder: Any) -> None:
            kept = pickle.loads((Path(folder) / "member.pickle").read_bytes())
            self.member.genome, self.member.earlier, self.member.steps = kept
            self.member.become(self.config)

        def reset_config(self, config: dict[str, Any]) -> bool:
            self.member = Member(data, config)
            return True

    space, _, _ = prepared(data)
    rng = np.random.default_rng(seed)
    levels = {gene.name: list(gene.grid) for gene in space.genes}

    def level_of(gene: Gene) -> Callable[[object], Any]:
        return lambda _: gene.level(rng.random())

    drawn = {gene.name: tune.sample_from(level_of(gene)) for gene in space.genes}
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        synch=True,  # else, with fewer processes than members, the worst may be sent back again and again
        quantile_fraction=QUANTILE,
        resample_probability=RESAMPLE,
        hyperparam_mutations={gene.name: levels[gene.name] for gene in space.changing},
    )
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    np.random.seed(seed)  # Ray draws from the global generators
    random.seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            Trainable,
            param_space=drawn,
            tune_config=tune.TuneConfig(
                metric="fid", mode="min", scheduler=scheduler, num_samples=EVALUATIONS, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                stop={"training_iteration": len(STEPS)},
            ),
        ).fit()
        last = [results[i].metrics for i in range(len(results))]
        found = [metrics for metrics in last if metrics and "best" in metrics]
    ray.shutdown()
    ended = {one["schedule"]: one["best"] for one in found if one["best"] < FAILED}
    best = sorted(ended, key=lambda schedule: ended[schedule])[:FINALISTS]
    return [confirmed(data, from_document(*json.loads(schedule)), runs) for schedule in best]


def confirmed(data: str, genome: Genome, runs: Path) -> list[float]:
    trained = [evogan.train(genome, data, replicate=FRESH + i, runs=runs, **TASK)[0] for i in range(REPLICATES)]
    return [fid for evaluation in trained if (fid := evaluation.metric("fid")) is not None and not evaluation.failed]


# --- all


def main() -> None:
    runners: dict[str, Callable[[str, str, int, Path], list[list[float]]]] = dict.fromkeys(OPTIONS, of_evogan)
    runners["ray"] = of_ray
    asked = os.environ.get("STRATEGIES")
    strategies = asked.split(";") if asked else list(runners)
    results: dict[str, Any] = {"evaluations": EVALUATIONS, "kimg": TASK["kimg"], "space": SPACE}
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(os.environ.get("EVOGAN_RUNS", folder)) / f"pbt-{EVALUATIONS}x{TASK['kimg']:g}"
        runs.mkdir(parents=True, exist_ok=True)
        for data in DATA:
            fids = {name: [fid(runners[name], data, name, seed, runs) for seed in range(SEEDS)] for name in strategies}
            results |= {f"{data}, {name}": {"median": statistics.median(x), "all": x} for name, x in fids.items()}
            for name in strategies:
                if name != "pbt" and "pbt" in fids:
                    ratio = bootstrap_ratio(fids["pbt"], fids[name])
                    results[f"{data}, pbt over {name}"] = [round(value, 3) for value in ratio]
    record("pbt", results)


def fid(run: Callable[..., list[list[float]]], data: str, name: str, seed: int, runs: Path) -> float:
    """The best mean of those that all completed, infinite if there are none; kept beside the store."""
    kept = runs / f"{data}-{name.replace(', ', '-')}-{seed}.json"
    if not kept.exists():
        means = [statistics.fmean(values) for values in run(data, name, seed, runs) if len(values) == REPLICATES]
        kept.write_text(json.dumps(round(min(means, default=math.inf), 2)))
    found: float = json.loads(kept.read_text())
    print(data, name, seed, found, file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
