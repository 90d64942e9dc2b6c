"""How fast one GAN trains on a CPU, beside a plain eager float32 loop of the same networks (`_plain.py`).

    python benchmarks/training.py                all of it, some ten minutes on two cores
    python benchmarks/training.py speed fid      some parts: speed, fid, scoring, linear, threads, profile, compile

Times are of one thread unless said otherwise; what is compared takes turns, and a ratio is the median over the turns,
so that a noisy machine disturbs both sides alike. The subjects:

    digits, published   the genome `wdcgan` on 8x8 digits, the default task
    digits, typical     the middle of the space `wdcgan_wide` on the same
    28x28, clip         `wdcgan` with 64 filters on 28x28x1 images
    28x28, penalty      `wgan_gp` with 64 filters and batches of 64 on the same

The 28x28 images are noise: their content does not change the time of a step.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import scipy.linalg
import torch
import torch.multiprocessing as mp
from _plain import PlainGAN
from _record import RESULTS, record

from evogan import shipped
from evogan.families import image_fields
from evogan.families.build import build
from evogan.fitness import load_features
from evogan.fitness.scorer import extract
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.settings.gan import KIMG
from evogan.space import load_space
from evogan.training import Trainer, diagnose
from evogan.training.feed import of_images
from evogan.training.flops import flops_per_iteration
from evogan.trial import CHECKPOINTS, Trial

BLOCKS = 7
REPLICATES = 5
DEFAULT = GANSettings()
DIGITS = GANProblem(DEFAULT)
FID_KIMG = 10.0
FID_GENOME = {  # one that trains well
    "filters": 32,
    "latent": 32,
    "critic_norm": "none",
    "dropout": 0.0,
    "clip": 0.1,
    "batch_size": 32,
    "critic_steps": 2,
    "learning_rate": 2e-3,
    "critic_optimizer": "adam",
    "critic_beta1": 0.5,
    "generator_optimizer": "adam",
    "generator_beta1": 0.5,
    "ema": 0.99,
}
PRECISIONS = ("fp32", "bf16")


def subjects() -> dict[str, tuple[Genome, int]]:
    """name -> genome, image size."""
    space = load_space("wdcgan_wide")
    wdcgan, wgan_gp = (shipped.read_genome(name).genome for name in ("wdcgan", "wgan_gp"))
    return {
        "digits, published": (wdcgan, 8),
        "digits, typical": (space.decode([0.5] * space.dimension), 8),
        "28x28, clip": (GENES.read({**wdcgan, "filters": 64}), 28),
        "28x28, penalty": (GENES.read({**wgan_gp, "batch_size": 64, "batch_ratio": 1}), 28),
    }


def images_of(size: int) -> torch.Tensor:
    if size == 8:
        return torch.tensor(DIGITS.dataset.images)
    return torch.randint(0, 256, (2000, 1, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trainer(genome: Genome, images: torch.Tensor, seed: int = 0, precision: Any = "fp32") -> Trainer:
    gan = build(genome, image_fields(images.shape[-1], images.shape[1]), seed)
    genes, cpu = GENES.complete(genome), torch.device("cpu")
    return Trainer(gan, genes, of_images(images), seed=seed, device=cpu, iterations=10**6, precision=precision)


def plain(genome: Genome, images: torch.Tensor, seed: int = 0) -> PlainGAN:
    """It begins with the same weights; that the networks are the same is checked."""
    gan = build(genome, image_fields(images.shape[-1], images.shape[1]), seed)
    ours = PlainGAN(GENES.complete(genome), images, seed, gan)
    for module in ours.critic.modules():
        module.training = not isinstance(module, torch.nn.Dropout)  # a critic of evogan's drops what it is told to
    z, some = torch.randn(4, ours.genes["latent"]), ours.images[:4]
    with torch.no_grad():
        torch.testing.assert_close(ours.generator(z), gan.players["generator"](z), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.critic(some), gan.players["critic"](some).score, rtol=1e-4, atol=1e-5)
    return PlainGAN(GENES.complete(genome), images, seed, gan)


def iterations(genome: Genome, kimg: float) -> int:
    genes: Mapping[str, Any] = GENES.complete(genome)
    batches = kimg * 1000 / (genes["batch_size"] * genes["critic_steps"])
    return max(1, round(float(batches)))


def taking_turns(runs: Mapping[str, Callable[[], object]], blocks: int = BLOCKS) -> dict[str, list[float]]:
    """Seconds of each; the first turn, which warms up, is left out."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for block in range(blocks + 1):
        for name, run in runs.items():
            started = perf_counter()
            run()
            if block:
                times[name].append(perf_counter() - started)
    return times


def ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def matmul_rate() -> dict[str, float]:
    """Operations a second of a 1024x1024 product: the best of several."""
    found = {}
    for precision, dtype in zip(PRECISIONS, (torch.float32, torch.bfloat16), strict=True):
        a, b = (torch.randn(1024, 1024).to(dtype) for _ in range(2))
        found[precision] = 2 * 1024**3 / min(taking_turns({"": lambda a=a, b=b: a @ b}, 20)[""])  # type: ignore[misc]
    return found


# --- the parts


def speed() -> dict[str, Any]:
    """An iteration of both loops, and trials an hour at the default budget; of digits, with all that a trial does."""
    rates = matmul_rate()
    results: dict[str, Any] = {"matmul GFLOP/s": {p: round(rate / 1e9, 1) for p, rate in rates.items()}}
    for name, (genome, size) in subjects().items():
        images = images_of(size)
        theirs = plain(genome, images)
        ours = {precision: trainer(genome, images, precision=precision) for precision in PRECISIONS}
        runs: dict[str, Callable[[], object]] = {"plain": theirs.iteration}
        runs |= {p: lambda t=t: t.run_to(t.iteration + 1) for p, t in ours.items()}  # type: ignore[misc]
        times = taking_turns(runs, BLOCKS if size == 8 else 4)
        flops, n = flops_per_iteration(genome, image_fields(size, 1)), iterations(genome, KIMG)
        seconds = {what: statistics.median(found) for what, found in times.items()}
        row: dict[str, Any] = {
            "ms an iteration": {what: round(1e3 * s, 1) for what, s in seconds.items()},
            "speedup of training": {p: round(ratio(times["plain"], times[p]), 2) for p in PRECISIONS},
            "share of the matmul rate": {p: round(flops / seconds[p] / rates[p], 2) for p in PRECISIONS},
            "plain: share of the matmul rate": round(flops / seconds["plain"] / rates["fp32"], 2),
            "trainings an hour": {what: round(3600 / (n * s), 1) for what, s in seconds.items()},
        }
        if size == 8:
            besides = {"plain": plain_scoring(theirs)} | {p: besides_training(genome, p) for p in PRECISIONS}
            whole = {what: n * seconds[what] + besides[what] for what in seconds}
            row["seconds of a trial besides training"] = {what: round(s, 2) for what, s in besides.items()}
            row["trials an hour"] = {what: round(3600 / s, 1) for what, s in whole.items()}
            row["speedup of a trial"] = {p: round(whole["plain"] / whole[p], 2) for p in PRECISIONS}
        results[name] = row
        print(name, json.dumps(row), flush=True)
    return results


def besides_training(genome: Genome, precision: Any) -> float:
    """Seconds of a trial that do not depend on its budget: it is built, its operations are counted, it is scored."""
    task, evaluate = GANProblem(GANSettings(kimg=1.0, precision=precision)).prepare()
    trial = Trial(genome, GENES.key(genome), task)
    scoring = statistics.median(evaluate(trial).cost["scoring_seconds"] for _ in range(3))
    setup = {
        "build": lambda: trainer(genome, images_of(8), precision=precision),
        "count": lambda: flops_per_iteration(genome, image_fields(8, 1)),
    }
    return scoring + sum(map(statistics.median, taking_turns(setup, 3).values()))


def plain_scoring(gan: PlainGAN) -> float:
    """Seconds for the FID alone, as usually computed, at as many checkpoints."""
    network = load_features("digits")
    reference = moments(extract(network, [gan.images]))

    def fid() -> None:
        mean, covariance = moments(torch.cat([network(part) for part in gan.sample(DEFAULT.samples)]))
        root = scipy.linalg.sqrtm(reference[1] @ covariance).real
        distance = np.square(reference[0] - mean).sum() + np.trace(reference[1] + covariance - 2 * root)
        assert math.isfinite(distance)

    return len(CHECKPOINTS) * statistics.median(taking_turns({"": fid}, 3)[""])


def moments(features: torch.Tensor) -> tuple[Any, Any]:
    return features.numpy().astype(float).mean(0), np.cov(features.numpy().astype(float), rowvar=False)


def fid() -> dict[str, Any]:
    """FIDs of both loops on digits after `FID_KIMG`, fresh seeds: they should differ by chance alone."""
    _, evaluate = GANProblem(GANSettings(kimg=FID_KIMG)).prepare()
    scorer, genome = evaluate._scorer, GENES.read(FID_GENOME)
    images, n = images_of(8), iterations(genome, FID_KIMG)
    found: dict[str, list[float]] = {"plain": [], **{precision: [] for precision in PRECISIONS}}
    for seed in range(REPLICATES):
        theirs = plain(genome, images, seed)
        for _ in range(n):
            theirs.iteration()
        found["plain"].append(scorer.score(theirs.sample(DEFAULT.samples))["fid"])
        for precision in PRECISIONS:
            ours = trainer(genome, images, seed, precision)
            ours.run_to(n)
            rng = torch.Generator().manual_seed(seed)
            samples = [ours.gan.sample(ours.gan.prompts(500, {}, rng)) for _ in range(DEFAULT.samples // 500)]
            found[precision].append(scorer.score(samples)["fid"])
        print("fid", {what: round(fids[-1], 2) for what, fids in found.items()}, flush=True)
    mean = {what: statistics.mean(fids) for what, fids in found.items()}
    spread = {what: statistics.stdev(fids) for what, fids in found.items()}
    error = {p: math.hypot(spread["plain"], spread[p]) / math.sqrt(REPLICATES) for p in PRECISIONS}
    return {
        "kimg": FID_KIMG,
        "mean and standard deviation": {what: [round(mean[what], 1), round(spread[what], 1)] for what in found},
        "difference and its standard error": {
            p: [round(mean[p] - mean["plain"], 1), round(error[p], 1)] for p in PRECISIONS
        },
    }


def scoring() -> dict[str, Any]:
    """Seconds of each part of one checkpoint on digits, and the share of a default trial that four of them take."""
    task, evaluate = DIGITS.prepare()
    scorer, held_out = evaluate._scorer, DIGITS.dataset.unseen
    results: dict[str, Any] = {}
    for name, (genome, size) in subjects().items():
        if size != 8:
            continue
        run, n = trainer(genome, images_of(size)), iterations(genome, KIMG)
        run.run_to(1)
        rng = torch.Generator().manual_seed(0)
        latents = [run.gan.prompts(500, {}, rng) for _ in range(task.samples // 500)]
        samples = [run.gan.sample(z) for z in latents]
        parts = taking_turns(
            {
                "samples": lambda run=run, latents=latents: [run.gan.sample(z) for z in latents],  # type: ignore[misc]
                "features": lambda samples=samples: extract(scorer.features, samples),  # type: ignore[misc]
                "all scores": lambda samples=samples: scorer.score(samples),  # type: ignore[misc]
                "diagnostics": lambda run=run: diagnose(run, held_out, 0),  # type: ignore[misc]
                "training": lambda run=run: run.run_to(run.iteration + 1),  # type: ignore[misc]
            },
            5,
        )
        one = {what: statistics.median(times) for what, times in parts.items()}
        training, four = n * one.pop("training"), len(CHECKPOINTS)
        one["kid and diversity"] = one["all scores"] - one["features"]  # moments and eigenvalues are 1 % of it
        whole = training + four * (one["samples"] + one["all scores"] + one["diagnostics"])
        results[name] = {
            "seconds of a checkpoint": {what: round(s, 3) for what, s in one.items()},
            "seconds of training": round(training, 1),
            "share of a default trial": {
                what: round(four * s / whole, 3) for what, s in one.items() if what != "all scores"
            },
        }
        print(name, json.dumps(results[name]), flush=True)
    return results


def linear() -> dict[str, Any]:
    """Seconds of training of 1, 2 and 4 budgets, in budgets: 1, 2 and 4 if the cost is linear."""
    genome, size = subjects()["digits, typical"]
    images, n = images_of(size), iterations(genome, 2.0)

    def budgets(k: int) -> Callable[[], object]:
        return lambda: trainer(genome, images).run_to(k * n)

    times = taking_turns({f"{k}x": budgets(k) for k in (1, 2, 4)}, 3)
    return {what: round(ratio(times[what], times["1x"]), 2) for what in times}


def threads() -> dict[str, Any]:
    """Iterations a second of two workers with a thread each, and of one worker with two threads.

    The best of several turns: two threads wait for each other, and suffer far more from whatever else runs.
    """
    results: dict[str, Any] = {}
    for name in ("digits, typical", "28x28, clip"):
        rates: dict[str, list[float]] = {"2 workers, 1 thread": [], "1 worker, 2 threads": []}
        for _ in range(4):
            rates["2 workers, 1 thread"].append(together(name, workers=2, threads=1))
            rates["1 worker, 2 threads"].append(together(name, workers=1, threads=2))
        best = {what: max(found) for what, found in rates.items()}
        results[name] = {what: round(rate, 2) for what, rate in best.items()} | {
            "ratio": round(best["2 workers, 1 thread"] / best["1 worker, 2 threads"], 2)
        }
        print("threads", name, rates, flush=True)
    return results


def together(name: str, workers: int, threads: int, seconds: float = 4.0) -> float:
    """Iterations a second of all workers, which train at the same time."""
    context = mp.get_context("spawn")
    barrier, queue = context.Barrier(workers), context.Queue()
    arguments = (name, threads, seconds, barrier, queue)
    processes = [context.Process(target=_worker, args=arguments) for _ in range(workers)]
    for process in processes:
        process.start()
    rates = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return float(sum(rates))


def _worker(name: str, threads: int, seconds: float, barrier: Any, queue: Any) -> None:
    torch.set_num_threads(threads)
    genome, size = subjects()[name]
    run = trainer(genome, images_of(size))
    run.run_to(1)
    barrier.wait()
    started, begun = perf_counter(), run.iteration
    while perf_counter() - started < seconds:
        run.run_to(run.iteration + 1)
    queue.put((run.iteration - begun) / (perf_counter() - started))


KINDS = {  # the first that is part of an operator's name
    "convolutions": ("convolution",),
    "other products": ("addmm", "aten::mm", "bmm"),
    "norms": ("_norm", "Norm"),
    "activations": ("relu", "tanh", "sigmoid", "Relu"),
    "optimisers": ("Optimizer", "_fused_", "addcdiv", "addcmul", "sqrt", "_foreach"),
    "drawing": ("uniform_", "normal_", "bernoulli", "random_"),
    "copies and casts": ("copy", "aten::cat", "fill_", "zero_", "pad", "clone"),
}


def profile() -> dict[str, Any]:
    """The shares that kinds of operators have of the time of an iteration."""
    results: dict[str, Any] = {}
    for name, (genome, size) in subjects().items():
        for precision in PRECISIONS:
            run = trainer(genome, images_of(size), precision=precision)
            run.run_to(2)
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
                run.run_to(run.iteration + 3)
            shares = dict.fromkeys([*KINDS, "the rest"], 0.0)
            operators = seen.key_averages()
            whole = sum(one.self_cpu_time_total for one in operators)
            for one in operators:
                kind = next((kind for kind, parts in KINDS.items() if any(p in one.key for p in parts)), "the rest")
                shares[kind] += one.self_cpu_time_total / whole
            results[f"{name}, {precision}"] = {kind: round(share, 2) for kind, share in shares.items()}
    return results


def compiled() -> dict[str, Any]:
    """What `torch.compile` of all networks gains, and what it costs; twice derived gradients it cannot make."""
    from torch._inductor import config

    config.force_disable_caches = True
    results: dict[str, Any] = {}
    for name, (genome, size) in subjects().items():
        for precision in PRECISIONS if genome.get("gradient_penalty", "none") == "none" else ():
            eager, other = (trainer(genome, images_of(size), precision=precision) for _ in range(2))
            torch.compiler.reset()
            for player in other.gan.players.values():
                player.compile(recompile_limit=64)
            eager.run_to(2)
            started = perf_counter()
            other.run_to(2)
            cost = perf_counter() - started
            times = taking_turns({"eager": partial(step, eager), "compiled": partial(step, other)})
            results[f"{name}, {precision}"] = {
                "seconds to compile": round(cost, 1),
                "speedup": round(ratio(times["eager"], times["compiled"]), 2),
            }
            print("compile", name, precision, results[f"{name}, {precision}"], flush=True)
    return results


def step(run: Trainer) -> None:
    run.run_to(run.iteration + 1)


def table(rows: Mapping[str, Any]) -> str:
    """Of `speed`."""
    columns = (
        "ms an iteration",
        "trials an hour",
        "speedup of training",
        "speedup of a trial",
        "share of the matmul rate",
    )
    lines = []
    for name, row in rows.items():
        if name in subjects():
            lines.append(name)
            lines += [
                f"  {c:<28}" + "".join(f"{what:>8}{x:>8}" for what, x in row[c].items()) for c in columns if c in row
            ]
    return "\n".join(lines)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "speed": speed,
    "fid": fid,
    "scoring": scoring,
    "linear": linear,
    "threads": threads,
    "profile": profile,
    "compile": compiled,
}


def main() -> None:
    torch.set_num_threads(1)
    path = RESULTS / "training.json"
    results: dict[str, Any] = json.loads(path.read_text())["results"] if sys.argv[1:] and path.exists() else {}
    for part in sys.argv[1:] or PARTS:
        results[part] = PARTS[part]()
        record("training", results)
    if "speed" in results:
        print(table(results["speed"]))


if __name__ == "__main__":
    main()
