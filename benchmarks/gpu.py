"""How fast GANs train on a GPU: one after another, side by side as processes, and as populations in one program.

    python benchmarks/gpu.py                      all of it, at most eight minutes
    python benchmarks/gpu.py floors populations   some parts
    python benchmarks/gpu.py --device cpu --quick to try the script itself: tiny networks, no figures of use

A trial is 20 kimg of training on 28x28x1 images, batches of 64. Members differ as those of a search do: in learning
rate, slope, clip or penalty strength, and critic steps, 1 to 5. The subjects, with 32 and 64 filters:

    wdcgan     the published genome
    wgan_gp    the same networks without norm in the critic, a two-sided gradient penalty, Adam

Trials an hour are 3600 over the mean seconds of a trial, times how many run at once. Parts:

    floors       the rates of matrix products and of memory
    alone        the plain eager loop (`_plain.py`) and evogan's Trainer, one GAN at a time
    populations  8, 32 and 128 GANs in one program: whole trainings, by rounds of 3.84 kimg; the last rounds count
    processes    8 and 16 processes that share the GPU
    variants     one population with the pieces of the speed taken away, or added
    profile      what one population's time goes to
    layers       its convolutions in several forms: grouped, as a product of matrices, one after another
    large        the genome `wgan_gp` itself (backbone `sndcgan`, 30 times the arithmetic), where less is to be gained

The images are noise: their content does not change the time of a step. Every part that fails is recorded with its
reason, and the rest goes on. Nothing but torch, numpy and what `evogan.training` needs is imported.
"""

from __future__ import annotations

import argparse
import gc
import json
import queue
import statistics
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the machine with the GPU may have nothing installed

import numpy as np
import torch
import torch.multiprocessing as mp
from _plain import PlainGAN
from _record import RESULTS, record
from torch import Tensor
from torch.nn import functional as F

from evogan import shipped
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.training import Population, Trainer
from evogan.training.feed import of_images
from evogan.training.flops import flops_per_iteration
from evogan.training.graphs import Graphs

KIMG = 20.0
SECONDS = 450.0  # for everything: parts that would begin later are left out
ROUND = 60  # critic steps, which 1, 2, 3, 4 and 5 divide
BATCH = 64
GOAL_ALONE, GOAL_PROCESSES = 15.0, 4.0


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    device: torch.device
    size: int = 28
    filters: tuple[int, ...] = (32, 64)
    populations: tuple[int, ...] = (8, 32, 128)
    processes: tuple[int, ...] = (8, 16)
    rounds: int = 5
    subjects: tuple[str, ...] = ("wdcgan", "wgan_gp")
    window: float = 3.0  # seconds that processes are watched for
    profiled: int = 32
    matrix: int = 8192
    copied: int = 1 << 30  # bytes
    repeats: int = 10
    critic_steps: int = 5  # at most

    @property
    def quick(self) -> bool:
        return self.size < 28


def scale(device: str, quick: bool) -> Scale:
    where = torch.device(device)
    if not quick:
        return Scale(where)
    tiny = {"size": 8, "filters": (8,), "populations": (2, 3), "processes": (1, 2), "rounds": 2, "window": 0.5}
    return Scale(where, **tiny, profiled=2, matrix=128, copied=1 << 20, repeats=2, critic_steps=2)  # type: ignore[arg-type]


def genome(subject: str, filters: int, member: int, most_steps: int = 5) -> dict[str, Any]:
    """Of one member of a search; the first is as published."""
    published: dict[str, Any] = dict(shipped.read_genome("wgan_gp" if subject == "large" else "wdcgan").genome)
    genes: dict[str, Any] = {**published, "filters": filters, "batch_size": BATCH, "batch_ratio": 1}
    if subject == "wgan_gp":
        del genes["clip"]
        genes |= {"critic_norm": "none", "critic_constraint": "none", "learning_rate": 2e-4}
        genes |= {"gradient_penalty": "two_sided", "gradient_penalty_weight": 10.0}
        for player in ("critic", "generator"):
            genes |= {f"{player}_optimizer": "adam", f"{player}_beta1": 0.0, f"{player}_beta2": 0.9}
    rng = np.random.default_rng(member)
    rate, slope, strength = rng.uniform(0.5, 2.0), rng.uniform(0.05, 0.3), rng.uniform(0.5, 2.0)
    genes["learning_rate"] = float(genes["learning_rate"] * rate)
    genes["slope"] = float(slope)
    weight = "gradient_penalty_weight" if "gradient_penalty_weight" in genes else "clip"
    genes[weight] = float(genes[weight] * strength)
    genes["critic_steps"] = 1 + member % most_steps
    return dict(GENES.read(genes))


def images_of(s: Scale) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (10_000, 1, s.size, s.size), dtype=torch.uint8, generator=rng).to(s.device)


def trainer(s: Scale, genes: Mapping[str, Any], images: Tensor, seed: int, precision: Any = "fp32") -> Trainer:
    gan = build(dict(genes), image_fields(s.size, 1), seed)
    complete = GENES.complete(genes)
    return Trainer(gan, complete, of_images(images), seed=seed, device=s.device, iterations=10**6, precision=precision)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clock(device: torch.device, run: Callable[[], object]) -> float:
    """Seconds until the device has done it."""
    wait(device)
    started = perf_counter()
    run()
    wait(device)
    return perf_counter() - started


def clean(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> dict[str, float]:
    """MB at the peak, since `clean`."""
    if device.type != "cuda":
        return {}
    found = {"allocated": torch.cuda.max_memory_allocated(device), "reserved": torch.cuda.max_memory_reserved(device)}
    return {what: round(size / 2**20, 1) for what, size in found.items()}


def iterations(genes: Mapping[str, Any], kimg: float = KIMG) -> float:
    return kimg * 1000 / (BATCH * int(genes["critic_steps"]))


def operations(s: Scale, subject: str, filters: int) -> float:
    """Floating-point operations of the mean trial."""
    all_steps = [genome(subject, filters, i, s.critic_steps) for i in range(s.critic_steps)]
    return statistics.mean(
        flops_per_iteration(genes, image_fields(s.size, 1)) * iterations(genes) for genes in all_steps
    )


def subjects(s: Scale) -> dict[str, tuple[str, int]]:
    return {f"{subject} {filters}": (subject, filters) for subject in s.subjects for filters in s.filters}


@dataclass
class Run:
    """Of the whole script."""

    scale: Scale
    results: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=perf_counter)

    @property
    def left(self) -> float:
        return SECONDS - (perf_counter() - self.started)

    def attempt(self, place: dict[str, Any], name: str, part: Callable[[], Any], needs: float = 0.0) -> None:
        """What a part finds, or why it found nothing, written down at once."""
        began = perf_counter()
        if self.left < needs:
            place[name] = {"left out": f"{needs:.0f} s are needed, {max(self.left, 0):.0f} s are left"}
        else:
            try:
                place[name] = part()
            except Exception as error:
                traceback.print_exc()
                place[name] = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"}
        clean(self.scale.device)
        text = json.dumps(place[name])
        print(f"[{perf_counter() - self.started:5.0f} s, +{perf_counter() - began:.0f} s] {name}: {text}", flush=True)
        self.write()

    def write(self) -> None:
        if self.scale.quick:
            return
        path = RESULTS / "gpu.json"
        before = json.loads(path.read_text())["results"] if path.exists() else {}
        same = before.get("device") == self.results.get("device")
        record("gpu", {**(before if same else {}), **self.results, "summary": summary(self.results)}, quiet=True)


# --- the parts


def floors(run: Run) -> dict[str, Any]:
    s, found = run.scale, {}
    n = s.matrix
    for name, dtype, tf32 in (
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        if s.device.type == "cpu" and tf32:
            continue
        a, b = (torch.randn(n, n, device=s.device).to(dtype) for _ in range(2))
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32
        try:
            seconds = best(s, lambda a=a, b=b: a @ b)  # type: ignore[misc]
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
        found[f"matmul {name}, TFLOP/s"] = round(2 * n**3 / seconds / 1e12, 2)
    source = torch.randn(s.copied // 4, device=s.device)
    target = torch.empty_like(source)
    found["copy, GB/s read and written"] = round(2 * s.copied / best(s, lambda: target.copy_(source)) / 1e9, 1)
    small = torch.zeros(8, device=s.device)
    launches = 1000
    found["us a launch"] = round(1e6 / launches * clock(s.device, lambda: [small.add_(1) for _ in range(launches)]), 2)
    return found


def best(s: Scale, work: Callable[[], object]) -> float:
    """Seconds of the fastest of several, after a few to warm up."""
    for _ in range(3):
        work()
    return min(clock(s.device, work) for _ in range(s.repeats))


def alone(run: Run, subject: str, filters: int) -> dict[str, Any]:
    """One GAN at a time, for every number of critic steps."""
    s, images = run.scale, images_of(run.scale)
    spent: dict[str, list[float]] = {"plain": [], "Trainer": []}
    peak: dict[str, Any] = {}
    steps = range(1) if subject == "large" else range(s.critic_steps)
    for member in steps:
        genes = genome(subject, filters, member, s.critic_steps)
        gan = build(genes, image_fields(s.size, 1), member)
        theirs = PlainGAN(GENES.complete(genes), images, member, gan, s.device)
        ours = trainer(s, genes, images, member)
        count = max(1, (30 if not s.quick else 2) // genes["critic_steps"])
        loops: dict[str, Callable[[], object]] = {
            "plain": lambda t=theirs, n=count: [t.iteration() for _ in range(n)],  # type: ignore[misc]
            "Trainer": lambda t=ours, n=count: t.run_to(t.iteration + n),  # type: ignore[misc]
        }
        for name, loop in loops.items():
            loop()
            clean(s.device)
            seconds = statistics.median(clock(s.device, loop) for _ in range(3))
            spent[name].append(seconds / count * iterations(genes))
            peak[name] = memory(s.device)
    rates = {name: 3600 / statistics.mean(seconds) for name, seconds in spent.items()}
    flops = operations(s, subject, filters)
    return {
        "trials an hour": {name: round(rate, 1) for name, rate in rates.items()},
        "seconds of a trial": {name: [round(x, 2) for x in seconds] for name, seconds in spent.items()},
        "TFLOP/s": {name: round(flops * rate / 3600 / 1e12, 2) for name, rate in rates.items()},
        "peak MB": peak,
    }


def members(s: Scale, subject: str, filters: int, count: int, precision: Any = "fp32") -> list[Trainer]:
    images = images_of(s)
    genomes = [genome(subject, filters, i, s.critic_steps) for i in range(count)]
    return [trainer(s, genes, images, i, precision) for i, genes in enumerate(genomes)]


def a_round(population: Population, trainers: list[Trainer], critic_steps: int) -> None:
    """Every member makes as many critic steps."""
    goals = {i: t.iteration + critic_steps // dict(t.gan.schedule)["critic"] for i, t in enumerate(trainers)}
    while goals:
        for i in population.run(goals):
            trainers[i].losses()
            del goals[i]


def population(
    run: Run,
    subject: str,
    filters: int,
    count: int,
    *,
    limit: float = 60.0,
    precision: Any = "fp32",
    recorded: bool = True,
) -> dict[str, Any]:
    """Whole trainings of `count` GANs together, as far as `limit` seconds go. The fastest round but the first counts:
    in the first ones steps are recorded, which takes time once. `seconds of rounds` has them all.
    """
    s = run.scale
    steps = ROUND if not s.quick else 2 * s.critic_steps
    clean(s.device)
    started = perf_counter()
    trainers = members(s, subject, filters, count, precision)
    one = Population(trainers)
    if not recorded:
        one.graphs = Graphs(None)
    wait(s.device)
    built = perf_counter() - started
    rounds: list[float] = []
    while len(rounds) < s.rounds and (not rounds or sum(rounds) + rounds[-1] < min(limit, run.left)):
        rounds.append(clock(s.device, lambda: a_round(one, trainers, steps)))
    share = steps * BATCH / (1000 * KIMG)  # of a trial
    steady = min(rounds[1:] or rounds)
    rate = count * 3600 * share / steady
    peak = memory(s.device)
    return {
        "trials an hour": round(rate, 1),
        "with building and recording": round(count * 3600 * share * len(rounds) / (built + sum(rounds)), 1),
        "seconds of rounds": [round(x, 3) for x in rounds],
        "critic steps a round": steps,
        "seconds to build": round(built, 2),
        "TFLOP/s": round(operations(s, subject, filters) * rate / 3600 / 1e12, 2),
        "peak MB": peak,
        "peak MB a member": {what: round(size / count, 1) for what, size in peak.items()},
        "recordings": one.graphs.recordings,
        "not recorded because": one.graphs.refused,
    }


def processes(run: Run, count: int, chosen: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """Each trains GANs of its own, subject after subject, all from one moment on and for the same time."""
    s, context = run.scale, mp.get_context("spawn")
    barrier, answers = context.Barrier(count), context.Queue()
    patience = min(run.left, 90.0)
    arguments = (str(s.device), s.quick, dict(chosen), barrier, answers, patience)
    started = [context.Process(target=_worker, args=(i, *arguments), daemon=True) for i in range(count)]
    spent: dict[str, list[float]] = {name: [] for name in chosen}
    failures: dict[str, list[str]] = {}
    try:
        for process in started:
            process.start()
        deadline = perf_counter() + patience
        for _ in range(count * len(chosen)):
            try:
                name, seconds, reason = answers.get(timeout=max(deadline - perf_counter(), 0.1))
            except queue.Empty:
                failures.setdefault("all", []).append(f"no answer within {patience:.0f} s")
                break
            if reason:
                failures.setdefault(name, []).append(reason)
            else:
                spent[name].append(seconds)
    finally:
        for process in started:
            process.join(timeout=5 if not failures else 0.1)
            if process.is_alive():
                process.kill()
    found: dict[str, Any] = {}
    for name, seconds in spent.items():
        complete = len(seconds) == count
        found[name] = (
            {"trials an hour": round(count * 3600 / statistics.mean(seconds), 1)}
            if complete
            else {"failed": (failures.get(name) or failures.get("all") or ["some gave no answer"])[0]}
        )
    return found


def _worker(
    number: int,
    device: str,
    quick: bool,
    chosen: Mapping[str, tuple[str, int]],
    barrier: Any,
    answers: Any,
    patience: float,
) -> None:
    torch.set_num_threads(1)
    s = scale(device, quick)
    for name, (subject, filters) in chosen.items():
        try:
            genes = genome(subject, filters, number, s.critic_steps)
            one = trainer(s, genes, images_of(s), number)
            one.run_to(2)
            wait(s.device)
            barrier.wait(timeout=patience)
            started, begun = perf_counter(), one.iteration
            while perf_counter() - started < s.window:
                one.run_to(one.iteration + 8)  # a look at the losses, and so a wait for the device, every 8
            wait(s.device)
            each = (perf_counter() - started) / (one.iteration - begun)
            answers.put((name, each * iterations(genes), ""))
            barrier.wait(timeout=patience)  # the others are measured to the end
        except Exception as error:
            barrier.abort()
            answers.put((name, 0.0, f"{type(error).__name__}: {error}"))


def variants(run: Run) -> dict[str, Any]:
    """What each piece of the speed is worth, of one population."""
    s = run.scale
    found: dict[str, Any] = {}
    filters, count = s.filters[-1], s.profiled
    kinds: dict[str, dict[str, Any]] = {
        "as it is": {},
        "one GAN": {"count": 1},
        "not recorded": {"recorded": False},
        "bf16": {"precision": "bf16"},
        "fastest convolutions looked for": {},
        "convolutions without tf32": {},
        "matrix products with tf32": {},
    }
    flags = (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    for name, options in kinds.items():
        torch.backends.cudnn.benchmark = name == "fastest convolutions looked for"
        torch.backends.cudnn.allow_tf32 = name != "convolutions without tf32"
        torch.backends.cuda.matmul.allow_tf32 = name == "matrix products with tf32"
        named = {"count": count, "limit": 8.0, **options}
        try:
            run.attempt(found, name, lambda named=named: population(run, "wdcgan", filters, **named), 15)  # type: ignore[misc]
        finally:
            torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = flags[:2]
            torch.backends.cuda.matmul.allow_tf32 = flags[2]
    return found


def profile(run: Run) -> dict[str, Any]:
    """Where the time of one population goes: kernels of the device, and work of the processor."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    s = run.scale
    trainers = members(s, "wdcgan", s.filters[-1], s.profiled)
    one = Population(trainers)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (s.device.type == "cuda")
    for _ in range(3):
        a_round(one, trainers, ROUND if not s.quick else 2)
    found: dict[str, Any] = {}
    steps = ROUND if not s.quick else 2
    for kind in ("recorded", "eager"):
        if kind == "eager":
            one.graphs = Graphs(None)
        plain_seconds = clock(s.device, lambda: a_round(one, trainers, steps))
        with profiler(activities=activities) as seen:
            clock(s.device, lambda: a_round(one, trainers, steps))
        rows = seen.key_averages()
        on_device = sorted(rows, key=_device_time, reverse=True)
        kernels = [row for row in on_device if str(row.device_type).endswith("CUDA")]
        busy = sum(map(_device_time, kernels)) / 1e6
        found[kind] = {
            "critic steps": steps,
            "seconds without the profiler": round(plain_seconds, 4),
            "seconds of kernels": round(busy, 4),
            "share of the time that the device works": round(busy / plain_seconds, 3),
            "kernels": [_row(row, _device_time(row)) for row in kernels[:15]],
            "processor": [
                _row(row, row.self_cpu_time_total)
                for row in sorted(rows, key=lambda row: row.self_cpu_time_total, reverse=True)[:15]
            ],
        }
    return found


def _device_time(row: Any) -> float:
    return float(getattr(row, "self_device_time_total", 0.0))


def _row(row: Any, microseconds: float) -> dict[str, Any]:
    return {"name": row.key[:100], "calls": row.count, "ms": round(microseconds / 1000, 3)}


def layers(run: Run) -> dict[str, Any]:
    """A convolution of every GAN of a population with its own weights, forward and backward: TFLOP/s of each form.

    `grouped` is what `vmap` makes of it. The shapes are those of `wdcgan`.
    """
    s, found = run.scale, {}
    count, n, side = s.profiled, s.filters[-1], s.size
    shapes = {
        "generator, first": (n, n, side // 2, 1),
        "generator, second": (n, n // 2, side, 1),
        "generator, last": (n // 2, 1, side, 1),
        "critic, first": (1, n // 4, side, 2),
        "critic, last": (n, 2 * n, side // 8 or 1, 1),
    }
    for name, (inputs, outputs, size, stride) in shapes.items():
        x = torch.randn(count, BATCH, inputs, size, size, device=s.device)
        w = torch.randn(count, outputs, inputs, 3, 3, device=s.device)
        flops = 3 * 2 * 9 * inputs * outputs * ((size + stride - 1) // stride) ** 2 * BATCH * count
        forms: dict[str, tuple[Callable[[Tensor, Tensor, int], Tensor], bool]] = {
            "grouped": (_grouped, False),
            "grouped, channels last": (_grouped_last, False),
            "grouped, fastest looked for": (_grouped, True),
            "product of matrices": (_unfolded, False),
            "one after another": (_looped, False),
        }
        rates: dict[str, Any] = {}
        for form, (convolve, search) in forms.items():
            torch.backends.cudnn.benchmark = search
            try:
                seconds = best(s, lambda c=convolve, x=x, w=w, k=stride: _there_and_back(c, x, w, k))  # type: ignore[misc]
                rates[form] = round(flops / seconds / 1e12, 3)
            except Exception as error:
                rates[form] = str(error).partition("\n")[0]
            finally:
                torch.backends.cudnn.benchmark = False
        found[name] = rates
    return found


def _there_and_back(convolve: Callable[[Tensor, Tensor, int], Tensor], x: Tensor, w: Tensor, stride: int) -> None:
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    torch.autograd.grad(convolve(x, w, stride).sum(), (x, w))


def _grouped(x: Tensor, w: Tensor, stride: int) -> Tensor:
    wide = x.transpose(0, 1).flatten(1, 2)
    return F.conv2d(wide, w.flatten(0, 1), stride=stride, padding=1, groups=len(x))


def _grouped_last(x: Tensor, w: Tensor, stride: int) -> Tensor:
    wide = x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    return F.conv2d(wide, w.flatten(0, 1), stride=stride, padding=1, groups=len(x))


def _unfolded(x: Tensor, w: Tensor, stride: int) -> Tensor:
    columns: Tensor = F.unfold(x.flatten(0, 1), 3, padding=1, stride=stride).unflatten(0, x.shape[:2])
    return w.flatten(2) @ columns.transpose(1, 2).flatten(2)


def _looped(x: Tensor, w: Tensor, stride: int) -> Tensor:
    return torch.stack([F.conv2d(a, b, stride=stride, padding=1) for a, b in zip(x, w, strict=True)])


# --- what the goals say


def summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """Ratios of each subject, and whether the goals are met."""
    found: dict[str, Any] = {}

    def rate(*path: str) -> float | None:
        place: Any = results
        for name in path:
            place = place.get(name) if isinstance(place, Mapping) else None
        return place if isinstance(place, float | int) else None

    for name, row in results.get("alone", {}).items():
        together = {
            count: r
            for count, by in results.get("populations", {}).items()
            if (r := rate("populations", count, name, "trials an hour")) and by
        }
        apart = [r for count in results.get("processes", {}) if (r := rate("processes", count, name, "trials an hour"))]
        plain = row.get("trials an hour", {}).get("plain")
        if not together:
            continue
        most = max(together.values())
        ours: dict[str, Any] = {"population, over the plain loop": _over(most, plain)}
        ours["population, over the best of processes"] = _over(most, max(apart, default=None))
        ours["goals"] = {
            f"at least {GOAL_ALONE:g} times the plain loop": _met(most, plain, GOAL_ALONE),
            f"at least {GOAL_PROCESSES:g} times processes": _met(most, max(apart, default=None), GOAL_PROCESSES),
        }
        per_member = {count: round(3600 / r, 4) for count, r in together.items()}
        ours["seconds of a trial, by population: may not grow"] = per_member
        found[name] = ours
    return found


def _over(a: float, b: float | None) -> float | None:
    return round(a / b, 2) if b else None


def _met(a: float, b: float | None, goal: float) -> bool | None:
    return a >= goal * b if b else None


def measure(run: Run, parts: list[str]) -> None:
    s, results = run.scale, run.results
    chosen = subjects(s)
    if "floors" in parts:
        run.attempt(results, "floors", lambda: floors(run))
    if "alone" in parts:
        results["alone"] = {}
        for name, (subject, filters) in chosen.items():
            run.attempt(results["alone"], name, partial(alone, run, subject, filters))
    if "populations" in parts:
        results["populations"] = {}
        for count in s.populations:
            row: dict[str, Any] = {}
            results["populations"][str(count)] = row
            limit = 25.0 if count > 32 else 12.0
            for name, (subject, filters) in chosen.items():
                work = partial(population, run, subject, filters, count, limit=limit)
                run.attempt(row, name, work, 130)  # what comes after must have its time too
    if "processes" in parts:
        results["processes"] = {}
        for count in s.processes:
            run.attempt(results["processes"], str(count), partial(processes, run, count, chosen), 40)
    if "profile" in parts:
        run.attempt(results, "profile", lambda: profile(run), 25)
    if "layers" in parts:
        run.attempt(results, "layers", lambda: layers(run), 20)
    if "variants" in parts:
        results["variants"] = {}
        run.attempt(results, "variants", lambda: variants(run), 20)
    if "large" in parts:
        results["large"] = {}
        run.attempt(results["large"], "alone", partial(alone, run, "large", s.filters[0]), 20)
        work = partial(population, run, "large", s.filters[0], s.populations[0], limit=10.0)
        run.attempt(results["large"], f"population of {s.populations[0]}", work, 20)


PARTS = ("floors", "alone", "populations", "processes", "profile", "layers", "variants", "large")


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast GANs train on a GPU.")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, nothing is written: to try the script")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"left out: torch {torch.__version__} sees no GPU here")
        return
    torch.set_num_threads(1)
    run = Run(scale(options.device, options.quick))
    cuda = run.scale.device.type == "cuda"
    run.results["device"] = torch.cuda.get_device_name() if cuda else "cpu"
    run.results["settings"] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "convolutions with tf32": torch.backends.cudnn.allow_tf32,
        "matrix products with tf32": torch.backends.cuda.matmul.allow_tf32,
        "kimg of a trial": KIMG,
    }
    measure(run, options.parts or list(PARTS))
    print(json.dumps(summary(run.results), indent=2))
    print(f"{perf_counter() - run.started:.0f} s in all")


if __name__ == "__main__":
    main()
