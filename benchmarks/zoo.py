"""The zoo side by side: every published genome under one small budget, some published claims, and step times.

    python benchmarks/zoo.py train mnist            fills the store, on from where it stopped
    python benchmarks/zoo.py train fashion_mnist    (EVOGAN_DATA names the folder of both)
    python benchmarks/zoo.py train mnist NAME ...   some genomes alone: the rows of others stay
    python benchmarks/zoo.py steps                  time of a step beside plain PyTorch, and what it does to the FID
    python benchmarks/zoo.py table                  results/zoo.json, docs/zoo.md and the grids, from what is there
    python benchmarks/zoo.py                        all of it

Networks are narrower than published (`NARROWER`) and images are 16x16 pixels: a size for two CPU cores, which says
little about GANs at full width and budget.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from _record import RESULTS, record
from PIL import Image
from scipy.stats import spearmanr

from evogan import shipped
from evogan.engine import Broker, LocalExecutor, Store
from evogan.families import family_of, image_fields
from evogan.families.build import build
from evogan.families.plain.family import PLAIN
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training import Trainer
from evogan.training.feed import of_images
from evogan.trial import Evaluation, GANTask, Trial

ROOT = Path(__file__).parent.parent
STORE = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "zoo"
DATA = ("mnist", "fashion_mnist")
IMAGE_SIZE, KIMG, REPLICATES = 16, 48.0, 3
NARROWER = {"mlp": 1, "resnet": 8, "autogan": 8, "progressive": 16, "stylegan": 16}  # and 4 for the other backbones
GRID_COLUMNS = 16
# measured before their files were mended: a name leaves when it is trained anew
OLDER = (
    *("autogan", "gan_mlp_large", "improved_dcgan", "ragan", "rahinge", "ralsgan", "rgan", "sngan", "sngan_resnet"),
    *("stylegan", "wgan", "wgan_cnn", "wgan_gp", "wgan_gp_resnet", "wgan_infogan"),
)

# mean FIDs of Lucic et al. 2018, arXiv:1711.10337, table 3, tuned, at full size
LUCIC = {
    "mnist": {
        "mmgan": 9.8, "nsgan": 6.8, "lsgan": 7.8, "wgan_infogan": 6.7, "wgan_gp_infogan": 20.3, "dragan": 7.6,
        "began": 13.1,
    },
    "fashion_mnist": {
        "mmgan": 29.6, "nsgan": 26.5, "lsgan": 30.7, "wgan_infogan": 21.5, "wgan_gp_infogan": 24.5, "dragan": 27.7,
        "began": 22.9,
    },
}  # fmt: skip

# published genomes with a gene changed, which the claims are about
VARIANTS: Mapping[str, tuple[str, Mapping[str, Value]]] = {
    "wgan_infogan, clip 0.0005": ("wgan_infogan", {"clip": 0.0005}),
    "wgan_infogan, clip 0.5": ("wgan_infogan", {"clip": 0.5}),
    "nsgan, normal latent": ("nsgan", {"latent_prior": "normal"}),
    "nsgan, Bernoulli latent": ("nsgan", {"latent_prior": "bernoulli"}),
    "nsgan, censored latent": ("nsgan", {"latent_prior": "censored_normal"}),
    "nsgan, real targets 0.9": ("nsgan", {"label_smoothing": 0.1}),
    "pggan, plain rate": ("pggan", {"equalized_lr": False, "init": "he"}),
    "pggan, no pixel norm": ("pggan", {"generator_norm": "none"}),
    "pggan, no minibatch std": ("pggan", {"minibatch": "none"}),
}
# claim, what is to have a lower FID, than what, at which checkpoint (the best, or the first)
CLAIMS = (
    ("the non-saturating loss starts faster than minimax", "nsgan", "mmgan", "first"),
    ("at a fixed budget it is not beaten by WGAN", "nsgan", "wgan_infogan", "best"),
    ("spectral norm is usable before a gradient penalty is", "sngan", "wgan_gp", "best"),
    ("and that before clipping is", "wgan_gp", "wgan_cnn", "best"),
    ("a small clip makes gradients vanish", "wgan_infogan", "wgan_infogan, clip 0.0005", "best"),
    ("a large clip makes them explode", "wgan_infogan", "wgan_infogan, clip 0.5", "best"),
    ("a Bernoulli latent does better than a normal one", "nsgan, Bernoulli latent", "nsgan, normal latent", "best"),
    ("so does a rectified one", "nsgan, censored latent", "nsgan, normal latent", "best"),
    ("one-sided label smoothing helps", "nsgan, real targets 0.9", "nsgan", "best"),
    ("an equalised learning rate has a large effect", "pggan", "pggan, plain rate", "best"),
    ("pixel norm adds to it", "pggan", "pggan, no pixel norm", "best"),
    ("minibatch statistics help", "pggan", "pggan, no minibatch std", "best"),
)  # fmt: skip


def narrow(genome: Mapping[str, Value]) -> Genome:
    """The same GAN with fewer filters."""
    genes = GENES.complete(genome)
    by = NARROWER.get(str(genes["backbone"]), 4)
    widths: dict[str, Value] = {name: int(genes[name]) // by for name in ("filters", "critic_filters") if name in genes}
    return GENES.read({**genome, **widths})


def subjects() -> dict[str, Genome]:
    """Every published genome, and the variants, by name."""
    files = {name: shipped.read_genome(name).genome for name in shipped.published()}
    published = {name: narrow(genome) for name, genome in files.items() if family_of(genome) is PLAIN}
    return published | {name: GENES.read({**published[base], **genes}) for name, (base, genes) in VARIANTS.items()}


def settings(data: str) -> GANSettings:
    return GANSettings.of(data=data, image_size=IMAGE_SIZE, kimg=KIMG, precision="bf16")


def trial(genome: Genome, task: GANTask, replicate: int) -> Trial:
    return Trial(genome, GENES.key(genome), task, 1.0, replicate)


def train(data: str, *names: str) -> None:
    """All replicates of all genomes, or those named, that the store does not know: a first replicate of each first."""
    task, evaluate = GANProblem(settings(data)).prepare()
    store = Store(STORE)
    store.keep_task_file(task.key, "real.png", evaluate.real_grid())
    broker = Broker(store, LocalExecutor(evaluate))
    named = [item for item in subjects().items() if data == "mnist" or item[0] not in VARIANTS]
    named = [item for item in named if not names or item[0] in names]
    for replicate in range(REPLICATES):
        for name, genome in named:
            started = perf_counter()
            found = broker.result(trial(genome, task, replicate))
            fid = found.metric("fid")
            print(
                f"{data} {replicate} {name:<28} {found.status} {fid} {perf_counter() - started:.0f} s",
                flush=True,
            )


def found(data: str) -> tuple[dict[str, list[Evaluation]], dict[str, Path], Path]:
    """What the store knows: evaluations by name, the sample grid of each one's best replicate, the reals' grid."""
    dataset = GANProblem(settings(data)).dataset
    store = Store.existing(STORE)
    evaluations: dict[str, list[Evaluation]] = {}
    grids: dict[str, Path] = {}
    task = _task(data, store, dataset.fingerprint)
    for name, genome in subjects().items():
        known = [(store.find(t.identity), t) for t in (trial(genome, task, i) for i in range(REPLICATES))]
        evaluations[name] = [e for e, _ in known if e is not None]
        done = [(e.metric("fid"), store.files(t.identity) / "samples.png") for e, t in known if e and not e.failed]
        if done:
            grids[name] = min(done)[1]
    real = store.task_file(task.key, "real.png")
    assert real is not None
    return evaluations, grids, real


def _task(data: str, store: Store, fingerprint: str) -> GANTask:
    from evogan.fitness import load_features

    return GANTask(
        name=data,
        fingerprint=fingerprint,
        image_size=IMAGE_SIZE,
        channels=1,
        kimg=KIMG,
        features=load_features(data).id,
        precision="bf16",
    )


def summary(evaluations: list[Evaluation]) -> dict[str, Any]:
    fids = [e.metric("fid") or 0.0 for e in evaluations if not e.failed]
    first = [e.scores[0]["fid"] for e in evaluations if not e.failed]
    flags = sorted({flag for e in evaluations for flag in e.flags})
    return {
        "fid": round(statistics.mean(fids), 2) if fids else None,
        "spread": round(statistics.stdev(fids), 2) if len(fids) > 1 else None,
        "fids": [round(fid, 2) for fid in fids],
        "first": [round(fid, 2) for fid in first],
        "failed": sum(e.failed for e in evaluations),
        "seconds": round(statistics.median(e.cost["seconds"] for e in evaluations), 1) if evaluations else None,
        "parameters": evaluations[0].metric("parameters") if evaluations else None,
        "flags": {flag: sum(flag in e.flags for e in evaluations) for flag in flags},
    }


def claims(rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each claim on MNIST: whether it holds in mean, and whether the replicates are apart."""
    told = []
    for claim, better, worse, at in CLAIMS:
        a, b = (rows[name]["fids" if at == "best" else "first"] for name in (better, worse))
        if not a or not b:
            verdict = "not measured" if not rows[better]["failed"] + rows[worse]["failed"] else "one side failed"
        elif max(a) < min(b):
            verdict = "holds in every replicate"
        elif min(a) > max(b):
            verdict = "the opposite, in every replicate"
        else:
            verdict = "holds in mean" if statistics.mean(a) < statistics.mean(b) else "the opposite in mean"
        told.append({"claim": claim, "better": better, "worse": worse, "at": at, "fids": [a, b], "verdict": verdict})
    return told


# --- step times


def plain_step(gan: Any, genes: Mapping[str, Any], images: torch.Tensor) -> Any:
    """One iteration as most published code has it: fp32, channels first, two passes, no fused optimiser."""
    critic, generator = gan.players["critic"], gan.players["generator"]
    for network in (critic, generator):
        network.to(memory_format=torch.contiguous_format)
    betas = (genes["critic_beta1"], genes["critic_beta2"])
    of_critic = torch.optim.Adam(critic.parameters(), genes["learning_rate"], betas=betas, foreach=False)
    of_generator = torch.optim.Adam(generator.parameters(), genes["learning_rate"], betas=betas, foreach=False)
    n, noise = genes["batch_size"], torch.Generator().manual_seed(1)

    def step() -> None:
        real = images[torch.randint(0, len(images), (n,), generator=noise)].float() / 127.5 - 1
        fake = generator(torch.randn(n, genes["latent"], generator=noise)).detach()
        r, f = critic(real).score, critic(fake).score
        hinge = genes["loss"] == "hinge"
        loss = torch.relu(1 - r).mean() + torch.relu(1 + f).mean() if hinge else f.mean() - r.mean()
        if genes.get("gradient_penalty", "none") != "none":
            alpha = torch.rand(n, 1, 1, 1, generator=noise)
            between = (real + alpha * (fake - real)).requires_grad_()
            (gradient,) = torch.autograd.grad(critic(between).score.sum(), between, create_graph=True)
            loss = loss + 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
        latent = torch.randn(n * genes["batch_ratio"], genes["latent"], generator=noise)
        loss = -critic(generator(latent)).score.mean()
        of_generator.zero_grad()
        loss.backward()  # into the critic too, as usual
        of_generator.step()
        gan._weights["critic"].after_step()  # spectral norms are iterated, here as there

    return step


def steps() -> dict[str, Any]:
    """Seconds of an iteration of `wgan_gp` and `sngan`, 32x32x3, batch 64, one thread: medians of alternating ones."""
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (512, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    results = {}
    for name in ("wgan_gp", "sngan"):
        genome = {**shipped.read_genome(name).genome, "batch_size": 64}
        genes = GENES.complete(genome)
        ours = {
            precision: Trainer(
                build(genome, image_fields(32, 3), 0),
                genes,
                of_images(images),
                seed=0,
                device=torch.device("cpu"),
                iterations=10**6,
                precision=precision,
            )
            for precision in ("fp32", "bf16")
        }  # fmt: skip
        plain = plain_step(build(genome, image_fields(32, 3), 0), genes, images)
        runs: dict[str, Any] = {"plain": plain} | {p: lambda t=t: t.run_to(t.iteration + 1) for p, t in ours.items()}
        times: dict[str, list[float]] = {what: [] for what in runs}
        for block in range(int(os.environ.get("EVOGAN_BENCH_BLOCKS", "7"))):
            for what, run in runs.items():
                started = perf_counter()
                run()
                if block:  # the first warms up
                    times[what].append(perf_counter() - started)
        ratios = {p: [a / b for a, b in zip(times["plain"], times[p], strict=True)] for p in ours}
        results[name] = {what: round(statistics.median(t), 3) for what, t in times.items()} | {
            f"speedup {p}": round(statistics.median(r), 2) for p, r in ratios.items()
        }
        print(name, results[name], flush=True)
    return results


def precision_fids() -> dict[str, Any]:
    """FIDs on MNIST of the two genomes trained in bf16 (as everywhere here), and in fp32."""
    results: dict[str, Any] = {}
    for precision in ("bf16", "fp32"):
        gan = GANSettings.of(data="mnist", image_size=IMAGE_SIZE, kimg=KIMG, precision=precision)
        task, evaluate = GANProblem(gan).prepare()
        broker = Broker(Store(STORE), LocalExecutor(evaluate))
        for name in ("wgan_gp", "sngan"):
            genome = subjects()[name]
            fids = [broker.result(trial(genome, task, i)).metric("fid") for i in range(REPLICATES)]
            results.setdefault(name, {})[precision] = [fid and round(fid, 2) for fid in fids]
            print(name, precision, results[name][precision], flush=True)
    return results


# --- what is written


def grid(path: Path) -> Image.Image:
    """The first row of 16 samples of an 8x8 grid."""
    image = Image.open(path).convert("L")
    side, rows = image.width // 8, GRID_COLUMNS // 8
    line = Image.new("L", (side * GRID_COLUMNS, side))
    for row in range(rows):
        line.paste(image.crop((0, row * side, side * 8, (row + 1) * side)), (row * side * 8, 0))
    return line


def picture(data: str, grids: Mapping[str, Path], real: Path) -> None:
    """A row of samples a published genome, under a row of reals, with names."""
    from matplotlib import pyplot as plt

    rows = {"real": real} | {name: path for name, path in grids.items() if name not in VARIANTS}
    figure, axes = plt.subplots(len(rows), 1, figsize=(9, 0.42 * len(rows)))
    for axis, (name, path) in zip(axes, rows.items(), strict=True):
        axis.imshow(np.asarray(grid(path)), cmap="gray", aspect="equal")
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.subplots_adjust(left=0.2, right=0.995, top=0.995, bottom=0.005, hspace=0.06)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    plt.close(figure)
    Image.open(buffer).convert("L").quantize(32).save(ROOT / "docs" / "images" / f"zoo-{data}.png", optimize=True)


def table() -> None:
    """From the store, if there is one, and from what was measured before: results/zoo.json and docs/zoo.md."""
    results = before()
    for data in DATA if STORE.exists() else ():
        evaluations, grids, real = found(data)
        results[data] = results.get(data, {}) | {name: summary(known) for name, known in evaluations.items() if known}
        if len(grids) == len(evaluations):
            picture(data, grids, real)
        ours = {name: results[data][name]["fid"] for name in LUCIC[data] if results[data].get(name, {}).get("fid")}
        rho = spearmanr(list(ours.values()), [LUCIC[data][name] for name in ours]).statistic
        results[f"{data} rank correlation with Lucic et al."] = round(float(rho), 2)
    if "mnist" in results:
        results["claims"] = claims(results["mnist"])
    record("zoo", results)
    (ROOT / "docs" / "zoo.md").write_text(page(results))


def before() -> dict[str, Any]:
    """What was measured before."""
    path = RESULTS / "zoo.json"
    return dict(json.loads(path.read_text())["results"]) if path.exists() else {}


def page(results: Mapping[str, Any]) -> str:
    lines = [(ROOT / "benchmarks" / "zoo.head.md").read_text()]
    for data in DATA:
        lines += [f"## {data}", "", *(ranked(data, results[data]) if data in results else ["Not measured yet."]), ""]
    if "claims" in results:
        lines += ["## Published orderings", "", *orderings(results), ""]
    if "steps" in results:
        lines += ["## Step time", "", STEPS, "", *step_times(results), ""]
    return "\n".join(lines)


def ranked(data: str, rows: Mapping[str, Any]) -> list[str]:
    lines = ["| genome | FID | spread | at a quarter | seconds | parameters | flags |", "|---|---|---|---|---|---|---|"]
    published = {name: row for name, row in rows.items() if name not in VARIANTS}
    for name, row in sorted(published.items(), key=lambda item: (item[1]["fid"] is None, item[1]["fid"])):
        n = len(row["fids"]) + row["failed"]
        flags = [f"{flag.replace('_', ' ')} {count}/{n}" for flag, count in row["flags"].items()]
        said = ", ".join([f"failed {row['failed']}/{n}"] * (row["failed"] > 0) + flags)
        first = statistics.mean(row["first"]) if row["first"] else None
        numbers = " | ".join(map(_digits, (row["fid"], row["spread"], first, row["seconds"])))
        shown = f"{name} †" if name in OLDER else name
        lines.append(f"| {shown} | {numbers} | {row['parameters']:,.0f} | {said} |")
    return [*lines, "", f"![samples of the best replicate of each, {data}](images/zoo-{data}.png)"]


def orderings(results: Mapping[str, Any]) -> list[str]:
    lines = [
        "Lucic et al. (arXiv:1711.10337) tuned each of seven GANs at full size; their mean FIDs beside these:",
        "",
        f"| genome | {' | '.join(f'{data}, theirs | here' for data in DATA)} |",
        f"|---|{'---|' * 2 * len(DATA)}",
    ]
    for name in LUCIC["mnist"]:
        cells = [f"{LUCIC[data][name]} | {_digits(results[data].get(name, {}).get('fid'))}" for data in DATA]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    rho = [results[f"{data} rank correlation with Lucic et al."] for data in DATA]
    lines += ["", f"Rank correlation: {rho[0]} on MNIST, {rho[1]} on Fashion-MNIST.", "", AGAIN, ""]
    lines += ["| claim | lower FID | than | which FID | here |", "|---|---|---|---|---|"]
    for c in results["claims"]:
        means = " against ".join(_digits(statistics.mean(fids)) if fids else "-" for fids in c["fids"])
        cells = [c["claim"], c["better"], c["worse"], f"{c['at']} checkpoint", f"{c['verdict']}: {means}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def step_times(results: Mapping[str, Any]) -> list[str]:
    lines = [
        "| genome | plain | fp32 | bf16 | plain / fp32 | plain / bf16 | FID in bf16 | in fp32 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["steps"].items():
        fids = results.get("precision", {}).get(name, {"bf16": [], "fp32": []})
        shown = [", ".join(map(_digits, fids[precision])) for precision in ("bf16", "fp32")]
        times = [f"{row[what]} s" for what in ("plain", "fp32", "bf16")]
        cells = [name, *times, str(row["speedup fp32"]), str(row["speedup bf16"]), *shown]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


AGAIN = (
    "Three trainings of each. [Claims](claims.md) has most of these again, on digits at 8x8, with eight trainings and "
    "intervals; some come out otherwise there."
)
STEPS = """One iteration (a critic and a generator step) at 32x32x3, batch 64, one thread, at full published width,
beside a plain eager PyTorch loop of the same networks in fp32: medians of alternating iterations. The FIDs are those of
the table's small networks, three replicates each."""


def _digits(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else "-"


def main() -> None:
    jobs = [" ".join(sys.argv[1:])] if sys.argv[1:] else ["train mnist", "train fashion_mnist", "steps", "table"]
    for job in jobs:
        if job.startswith("train "):
            torch.set_num_threads(1)
            train(*job.split()[1:])
        elif job == "steps":
            record("zoo", {**before(), "steps": steps(), "precision": precision_fids()})
        else:
            table()


if __name__ == "__main__":
    main()
