"""Families beyond noise to image: an evolved GAN beside the published ones, under one budget.

    python benchmarks/families.py inference search mnist      a search for each of the part's aims, one after the other
    python benchmarks/families.py inference train mnist       five fresh replicates of all published GANs and winners
    python benchmarks/families.py inference train mnist bigan ...     of these alone
    python benchmarks/families.py inference table mnist       results/families.json, of what is there
    python benchmarks/families.py semi ...                    the same of few labels: digits, mnist, fashion_mnist
    python benchmarks/families.py translation ...             of domains: mnist-negative, mnist-edges, digits-mnist
    python benchmarks/families.py coupled ...           one latent for two domains: mnist-negative, mnist-edges
    python benchmarks/families.py super_resolution ...        7x7 to 28x28: mnist+low:4, fashion_mnist+low:4
    python benchmarks/families.py ladder ...                  beside flat GANs of as many weights: mnist, fashion_mnist
    python benchmarks/families.py captions ...                mnist@captions:words, :skip_thought, :one_hot, digits@...
    python benchmarks/families.py points ...                  ring, grid: every loss, and the best evolved
    python benchmarks/families.py sequences ...               oracle, grammar, captions: beside likelihood alone
    python benchmarks/families.py pairs ...                   fashion_mnist+edges, +mosaic:4, +hole; cifar+grey, +hint

Each goes on where it stopped, in the folder that the environment's EVOGAN_RUNS names; EVOGAN_DATA names that of MNIST,
EVOGAN_CIFAR a file of as many images of CIFAR-10 as are to be used, if not all.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _record import RESULTS, record

import evogan
from evogan import shipped
from evogan.engine import Store
from evogan.families import image_fields
from evogan.families.build import count_parameters
from evogan.genes import GENES
from evogan.genes.twins import twin_of
from evogan.genome import Genome, Value
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.space import Space
from evogan.trial import Choice, Evaluation, Trial

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "families"
FRESH = range(1000, 1000 + int(os.environ.get("REPLICATES", "5")))  # that no search uses
TWIN = ", twin"
PLAYERS = ("critic", "generator")
SETS = {"cifar": os.environ.get("EVOGAN_CIFAR", "cifar10")}
EVALUATIONS = int(os.environ.get("EVALUATIONS", "30"))
FINALISTS = int(os.environ.get("FINALISTS", "3"))
WORKERS = int(os.environ.get("WORKERS", "2"))


@dataclass(frozen=True)
class Aim:
    """A search: for the lowest of a metric, in a space with these genes fixed, beginning with published GANs. `data`:
    of which data sets, if not of all."""

    metric: str
    fixed: Mapping[str, Value]
    begin: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """Of the benchmark. `kimg`: of every data set, or `unit` of it. `published`: genomes, with what is changed for two
    CPU cores; `by_hand`: others, each a published one and what was changed of it. `labels`: as many of every data set,
    if few. `twins`: whose twins are trained, too. After its name a data set may have domains, mnist-edges, pairs,
    mnist+low:4, or conditions, mnist@captions:words. `sizes`: of its images. `metrics`: the first that a training has
    chooses its checkpoint.
    """

    space: str
    kimg: Mapping[str, float]
    published: Mapping[str, Mapping[str, Value]]
    aims: Mapping[str, Aim]
    metrics: tuple[str, ...]
    more: Mapping[str, Any] = field(default_factory=dict)  # settings of every training
    note: str = ""
    unit: str = "kimg"
    labels: Mapping[str, int] = field(default_factory=dict)
    twins: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    by_hand: Mapping[str, tuple[str, Mapping[str, Value]]] = field(default_factory=dict)

    def settings(self, data: str) -> dict[str, Any]:
        few = {"labels": self.labels[data]} if data in self.labels else {}
        name, _, conditions = data.partition("@")
        name, _, pairs = name.partition("+")
        name, _, domains = name.partition("-")
        form: dict[str, Any] = {"pairs": pairs} if pairs else {"domains": domains} if domains else {}
        form |= {"conditions": conditions} if conditions else {}
        form |= {"image_size": self.sizes[data]} if data in self.sizes else {}
        budget = {self.unit: self.kimg[data]}
        return {"data": SETS.get(name, name), **budget, "precision": "bf16", "runs": RUNS, **form, **few, **self.more}

    @property
    def subjects(self) -> tuple[str, ...]:
        return (*self.published, *self.by_hand, *self.aims, *(name + TWIN for name in self.twins))

    def run(self, aim: str, data: str) -> str:
        """Its name."""
        return f"{self.space}-{aim}-{data}".translate(str.maketrans("+:", "--"))

    def genome(self, name: str, data: str) -> Genome | None:
        """Of a published GAN, or one by hand, or of a search's winner if there is one yet."""
        if name.endswith(TWIN):
            genome = self.genome(name.removesuffix(TWIN), data)
            return None if genome is None else twin_of(genome)
        if name in self.published:
            return GENES.read({**shipped.read_genome(name).genome, **self.published[name]})
        if name in self.by_hand:
            return _changed(*self.by_hand[name])
        run = self.run(name, data)
        best = evogan.open_run(run, RUNS).best if run in Store(RUNS).runs() else None
        return None if best is None else best.row.genome

    def narrowed(self, aim: Aim) -> Space:
        """The shipped space with what the aim fixes, and what it begins with as reference."""
        whole = evogan.load_space(self.space)
        others = {g.name: [v for v in g.values if v != aim.fixed[g.name]] for g in whole.genes if g.name in aim.fixed}
        left = whole.without(others, "is not searched here")
        reference = [name for name in aim.begin if name in whole.reference]
        return Space(left.name, left.genes, fixed=left.fixed, table=left.table, reference=reference)


def search(part: Part, data: str) -> None:
    for name, aim in part.aims.items():
        if aim.data and data not in aim.data:
            continue
        evogan.search(
            part.narrowed(aim),
            name=part.run(name, data),
            evaluations=EVALUATIONS,
            fitness=aim.metric,
            workers=WORKERS,
            seed_genomes=[dict(genome) for one in aim.begin if (genome := part.genome(one, data)) is not None],
            finalists=FINALISTS,
            confirm=2,
            **part.settings(data),
        )


def train(part: Part, data: str, *names: str) -> None:
    """All, or those named: a replicate of each first."""
    for replicate in FRESH:
        for name in names or part.subjects:
            if (genome := part.genome(name, data)) is not None:
                evaluation, _ = evogan.train(genome, replicate=replicate, **part.settings(data))
                print(data, replicate, name, evaluation.status, values_of(part, evaluation), flush=True)


def values_of(part: Part, evaluation: Evaluation) -> dict[str, float]:
    """All at one checkpoint: the best by the first metric that there is, as the validation part tells of a test's."""
    places = (Choice((metric,)).place(evaluation.scores) for metric in part.metrics)
    place = next((found for found in places if found is not None), None)
    return {} if place is None else {m: x for m, x in evaluation.scores[place].items() if m in part.metrics}


def table(part: Part, name: str, *data: str) -> None:
    """Medians and all replicates of every metric, of all data or those named; what more trainings told stays. Rows that
    do not say their budget are older: there each number is of its own best checkpoint, seconds until the first."""
    path = RESULTS / "families.json"
    before = json.loads(path.read_text())["results"] if path.exists() else {}
    found: dict[str, Any] = before.get(name, {})
    for of in data or part.kimg:
        gan = {key: value for key, value in part.settings(of).items() if key != "runs"}
        task, _ = GANProblem(GANSettings.of(**gan), RUNS).prepare()
        for subject in part.subjects:
            if (genome := part.genome(subject, of)) is None:
                continue
            trials = [Trial(genome, GENES.key(genome), task, 1.0, replicate) for replicate in FRESH]
            done = [evaluation for t in trials if (evaluation := Store(RUNS).find(t.identity)) is not None]
            row: dict[str, Any] = {"replicates": len(done), part.unit: part.kimg[of], "genome": dict(genome)}
            measured = [{"seconds": one.cost["seconds"], **values_of(part, one)} for one in done]
            for metric in ("seconds", *part.metrics):
                if values := [round(one[metric], 4) for one in measured if metric in one]:
                    row[metric] = {"median": round(statistics.median(values), 4), "all": values}
            if done and len(done) >= found.get(f"{of}, {subject}", row)["replicates"]:
                found[f"{of}, {subject}"] = row
    record("families", {**before, name: {**found, "note": part.note}}, quiet=True)


def inference() -> Part:
    """InfoGAN's category as a clustering; BiGAN's code as features; the faithfulness of VAE-GAN and BiVAE."""
    published = ("infogan", "bigan", "vae_gan", "vae_gan_three_class", "bivae")
    small: dict[str, Value] = {"filters": 16, "batch_size": 32, "latent": 16, "learning_rate": 5e-4, "lr_ratio": 2.0}
    convolutions: dict[str, Value] = {
        "backbone": "dcgan",
        "filters": 16,
        "latent": 32,
        "pair_entry": "features",
        "pair_units": 256,
        "critic_regularization": "none",
        "generator_regularization": "none",
        "critic_constraint": "spectral_norm",
        "batch_size": 32,
        "learning_rate": 5e-4,
        "lr_decay": "linear",
    }
    by_hand = {
        "infogan_small": ("infogan", {**small, "continuous_information": 0.1}),
        "bigan_convolutions": ("bigan", convolutions),
    }
    return Part(
        space="inference",
        kimg={"digits": 60.0, "mnist": 120.0},
        published={name: {} for name in published},
        by_hand=by_hand,
        aims={
            "clusters": Aim(
                "clustering_error", {"encoder": "head", "code_categories": 10}, ("infogan", "infogan_small")
            ),
            "features": Aim(
                "code_nn_error", {"encoder": "inverse", "critic_sees": "pair"}, ("bigan", "bivae", "bigan_convolutions")
            ),
            "faithful": Aim("reconstruction_ratio", {"encoder": "inverse", "critic_sees": "image"}, ("vae_gan",)),
        },
        metrics=("clustering_error", "code_nn_error", "fid", "nmi", "mutual_information", "reconstruction_ratio"),
        note="Known order of reconstructions: BiVAE below VAE-GAN below BiGAN.",
    )


def semi() -> Part:
    """Classifiers from few labels, their supervised twins, and 1-NN: at most 20 minutes of one core a training."""
    narrow = {"filters": 16, "critic_filters": 16, "critic_depth": 1, "batch_size": 32, "critic_steps": 1}
    quick: dict[str, Value] = {"classifier_average": 0.999, "lr_decay": "linear"}
    return Part(
        space="semi_supervised",
        kimg={"digits": 3000, "mnist": 4500, "fashion_mnist": 4500},
        unit="iterations",
        labels={"digits": 50, "mnist": 100, "fashion_mnist": 100},
        published={
            **{name: {} for name in ("sgan", "improved_gan", "triple_gan")},
            **dict.fromkeys(("s2gan", "s2gan_co", "s3gan", "s2gan_clusters"), narrow),
        },
        by_hand={"improved_gan, quicker average": ("improved_gan", quick)},
        aims={"evolved": Aim("error", {}, ("improved_gan, quicker average", "sgan", "triple_gan"))},
        twins=("sgan", "improved_gan", "evolved"),
        metrics=("error", "nearest_error", "fid"),
        note="Errors on all held-out images of the checkpoint that the validation part chose. Known: SGAN 11 %, its "
        "twin 30 % with 100 labels of MNIST.",
    )


def translation() -> Part:
    """Between domains whose truth is known: narrowed networks, a minute of one core a training."""
    small: dict[str, Value] = {"filters": 8, "patch_filters": 8, "patch_layers": 2, "batch_size": 4}
    small["learning_rate"] = 1e-3
    resnet: dict[str, Value] = {**small, "translator_blocks": 2}
    tiny: dict[str, Value] = {**resnet, "filters": 16, "patch_filters": 16, "task_filters": 16, "batch_size": 16}
    truth = (
        "truth_distance",
        "truth_distance_copy",
        "truth_distance_mean",
        "l1",
        "l1_copy",
        "l1_mean",
        "psnr",
        "psnr_copy",
    )
    begin = ("cyclegan", "cyclegan_unet", "cyclegan_without_identity")
    return Part(
        space="domains",
        kimg={"mnist-edges": 600, "mnist-negative": 600, "digits-mnist": 1000},
        unit="iterations",
        sizes={"digits-mnist": 8},
        published={
            "cyclegan": resnet,
            "augmented_cyclegan": resnet,
            "cyclegan_unet": small,
            **dict.fromkeys(("combogan", "exchanged_autoencoders", "xgan", "latent_adversary"), resnet),
            "stargan": {**resnet, "critic_steps": 2},
            "dtn": tiny,
            "cycada": {**tiny, "translator_norm": "batch", "patch_norm": "batch"},
        },
        by_hand={"cyclegan_without_identity": ("cyclegan", {**resnet, "identity_loss": 0.0})},
        aims={
            "by_truth": Aim("truth_distance", {}, begin, ("mnist-negative", "mnist-edges")),
            "by_classes": Aim("gan_test_error", {}, begin, ("digits-mnist",)),
            "by_fid": Aim("fid", {}, begin),
        },
        more={"samples": 1000},
        metrics=(
            *truth,
            *("fid", "gan_test_error", "gan_test_error_copy", "cycle_error", "cycle_error_noise", "identity_error"),
            *("task_error", "task_error_source"),
        ),
        note="Networks of 8 filters, 2 residual blocks, batch 4, rate 1e-3, 600 updates; stargan: 2 critic steps; dtn "
        "and cycada: 16 filters, batch 16, 1,000 updates, batch norm, as instance norm of maps of 2x2 leaves little. "
        "l1 and psnr are of the way from the images to what the recipe makes of them, truth_distance is of both ways. "
        "A search by_truth is told the truth of a half of the held-out images, by_classes their classes, by_fid "
        "nothing; all are judged on the other half. Trivial are _copy and _mean. digits-mnist, at 8x8, has no truth: "
        "gan_test_error beside gan_test_error_copy, task_error beside task_error_source.",
    )


def coupled() -> Part:
    """An image in each of two domains, of one latent: one to four minutes of one core a training."""
    narrow = {"filters": 16, "batch_size": 32, "learning_rate": 1e-3}
    return Part(
        space="coupled",
        kimg={"mnist-negative": 1500, "mnist-edges": 1500},
        unit="iterations",
        more={"samples": 1000},
        published={"cogan": narrow},
        by_hand={"cogan_apart": ("cogan", {**narrow, "coupled_layers": 0, "coupled_critic_layers": 0})},
        aims={"evolved": Aim("truth_distance", {}, ("cogan",))},
        metrics=("truth_distance", "truth_distance_copy", "l1", "l1_copy", "psnr", "fid"),
        note="Narrowed: 16 filters in the generators' last layers, rate 1e-3, batch 32, 1,500 updates. Judged by what "
        "the recipe makes of the first domain's images. Of cogan_apart nothing is shared. Known: pixels right, to "
        "edges .952, to negative .967.",
    )


def super_resolution() -> Part:
    """Four times the side: a minute of one core a training."""
    small: dict[str, Value] = {"filters": 16, "translator_blocks": 4, "patch_filters": 16, "learning_rate": 1e-3}
    small["batch_size"] = 8
    critic: dict[str, Value] = {**small, "critic_units": 128}
    data = ("mnist+low:4", "fashion_mnist+low:4")
    likeness = [f"{metric}{of}" for metric in ("psnr", "ssim", "l1", "reduced_l1") for of in ("", "_copy")]
    return Part(
        space="super_resolution",
        kimg=dict.fromkeys(data, 8.0),
        more={"samples": 2000},
        published={"srgan": critic, "srresnet": small},
        by_hand={"srgan_pixels": ("srgan", {**critic, "feature_loss": 0.0, "pixel_loss": 1.0})},
        aims={"evolved": Aim("fid", {}, ("srgan", "srgan_pixels"))},
        metrics=("fid", "fid_copy", "swd", *likeness),
        note="7x7 to 28x28. Narrowed: 16 filters, 4 blocks, batch 8, dense layer of 128, rate 1e-3. Bicubic is _copy. "
        "The content loss of srgan is by the network that FID is of, by earlier maps: swd is of pixels. srgan_pixels "
        "has squared errors in its place.",
    )


def ladder() -> Part:
    """Ladders and flat GANs of as many weights: a minute of one core a training."""
    small: dict[str, Value] = {"filters": 16, "level_critic_filters": 16, "learning_rate": 1e-3, "batch_size": 32}
    adam: dict[str, Value] = {f"{player}_optimizer": "adam" for player in ("critic", "generator")}
    adam |= {f"{player}_beta1": 0.5 for player in ("critic", "generator")}
    narrow: dict[str, Mapping[str, Value]] = {
        "lapgan": {**small, **adam, "level_critic_norm": "batch", "slope": 0.2},
        "stackgan": {**small, "condition_augmentation": 16},
        "stackgan_v2": {**small, "condition_augmentation": 16},
    }
    flat = {"lapgan": "dcgan", "stackgan": "cgan_onehot", "stackgan_v2": "cgan_onehot"}
    by_hand: dict[str, tuple[str, Mapping[str, Value]]] = {}
    for name, change in narrow.items():
        weights = sum(count_parameters(_changed(name, change), FORM).values())
        like = {"learning_rate": 1e-3, "batch_size": 32}
        by_hand[f"{name}_flat"] = (flat[name], {**like, "filters": _width(flat[name], weights)})
    return Part(
        space="ladder",
        kimg={"mnist": 24.0, "fashion_mnist": 24.0},
        more={"samples": 2000},
        published={"stackgan": narrow["stackgan"], "stackgan_v2": narrow["stackgan_v2"]},
        by_hand={"lapgan": ("lapgan", narrow["lapgan"]), **by_hand},
        aims={"evolved": Aim("fid", {"condition": "none"}, ("lapgan",))},
        metrics=("fid", "class_fid", "gan_test_error", "swd", "parameters"),
        note="28x28 by levels of 7, 14 and 28 (stackgan: 14 and 28). Narrowed: 16 filters, rate 1e-3, batch 32; lapgan "
        "with Adam and batch norm. NAME_flat is DCGAN, with labels as planes where the ladder has them, of as many "
        "weights, rate, batch and budget.",
    )


def pairs() -> Part:
    """Lines, grey, hints of colour, cells, holes: a minute of one core a training. Each by its own genome."""
    small: dict[str, Value] = {"filters": 16, "patch_filters": 16, "patch_layers": 2, "batch_size": 8}
    narrow: dict[str, Value] = {
        "filters": 16,
        "patch_filters": 16,
        "batch_size": 8,
        "translator": "unet",
        "feature_loss": 0.0,
    }
    data = ("fashion_mnist+edges", "cifar+grey", "cifar+hint", "fashion_mnist+mosaic:4", "fashion_mnist+hole")
    likeness = [f"{metric}{of}" for metric in ("psnr", "ssim", "l1", "psnr_hole") for of in ("", "_copy", "_mean")]
    return Part(
        space="translation",
        kimg=dict.fromkeys(data, 8.0),
        more={"samples": 2000},
        published=dict.fromkeys(("pix2pix", "colorgan", "demosaic", "inpainting"), small),
        by_hand={"pix2pix_by_hand": ("pix2pix", {**small, "learning_rate": 1e-3, "pixel_loss": 30.0})},
        aims={"evolved": Aim("fid", narrow, ("pix2pix",), ("fashion_mnist+edges",))},
        twins=("pix2pix", "pix2pix_by_hand", "colorgan", "demosaic", "inpainting", "evolved"),
        metrics=("fid", "fid_copy", *likeness),
        note="Narrowed: 16 filters, batch 8. A twin learns from the pixels alone. Evolved: as narrow, and without the "
        "loss of the features by which FID is computed.",
    )


FORM = image_fields(28, 1, 10)


def _changed(name: str, change: Mapping[str, Value]) -> Genome:
    genome = {**shipped.read_genome(name).genome, **change}
    applies = GENES.complete(genome)
    return GENES.read({gene: value for gene, value in genome.items() if gene in applies})


def _width(flat: str, weights: int) -> int:
    """The filters with which its players have as many weights as there are, or the nearest number."""
    genome = shipped.read_genome(flat).genome

    def apart(filters: int) -> int:
        return abs(sum(count_parameters({**genome, "filters": filters}, FORM).values()) - weights)

    return min(range(4, 129), key=apart)


def points() -> Part:
    """Which losses collapse on the ring and on the grid, with the same networks, rates and budget."""
    small: dict[str, Value] = {
        "mlp_layers": 3,
        "slope": 0.2,
        "init": "he",
        "latent": 2,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "lr_ratio": 1.0,
        "critic_beta2": 0.9,
        "generator_beta2": 0.9,
    }
    penalty: dict[str, Value] = {"gradient_penalty": "two_sided", "gradient_penalty_weight": 0.1}
    wide: dict[str, Value] = {"loss": "hinge", "filters": 256, "lr_decay": "late"}
    losses = ("minimax", "non_saturating", "least_squares", "hinge", "wasserstein")
    return Part(
        space="points",
        kimg={"ring": 3000, "grid": 10_000},
        unit="iterations",
        published={"points_gan": {}, "points_wgan_gp": {"filters": 128}},
        by_hand={
            **{loss: ("points_gan", {**small, "loss": loss}) for loss in losses},
            **{f"{loss}, penalty": ("points_gan", {**small, "loss": loss, **penalty}) for loss in losses[1:]},
            "hinge, wide": ("points_gan", {**small, **wide, "ema": 0.99}),
            "hinge, wide, longer average": ("points_gan", {**small, **wide, "ema": 0.999}),
        },
        aims={"evolved": Aim("js", {"batch_size": 128, "critic_steps": 1}, ("hinge, wide",))},
        metrics=("js", "w1", "modes", "high_quality"),
        more={"precision": "fp32"},
        note="3,000 updates of the generator on the ring, 10,000 on the grid, or as `iterations` says; WGAN-GP's "
        "layers 128 wide, not 512.",
    )


def captions() -> Part:
    """Coloured digits of sentences: one to four minutes of one core a training."""
    small: dict[str, Value] = {"filters": 16, "learning_rate": 1e-3, "batch_size": 32}
    deaf: dict[str, Value] = {**small, "wrong_label": 0.0}
    spectral: dict[str, Value] = {
        **small,
        "loss": "hinge",
        "critic_label": "projection",
        "critic_constraint": "spectral_norm",
        "lr_ratio": 1.0,
        "lr_decay": "linear",
        "ema": 0.99,
        **{f"{player}_{beta}": value for player in PLAYERS for beta, value in (("beta1", 0.0), ("beta2", 0.9))},
    }
    ladder: dict[str, Value] = {**small, "level_critic_filters": 16, "condition_augmentation": 16}
    data = (*(f"mnist@captions:{code}" for code in ("words", "skip_thought", "one_hot")), "digits@captions:words")
    each = ("digit", "colour", "background", "thickness", "tilt")
    return Part(
        space="conditional",
        kimg=dict.fromkeys(data, 80.0),
        sizes={"digits@captions:words": 20},
        published={"text_gan": small, "stackgan": ladder},
        by_hand={
            "without_wrong_captions": ("text_gan", deaf),
            "spectral": ("text_gan", {**spectral, "critic_norm": "none", "label_norm": "per_class"}),
            "stackgan_spectral": (
                "stackgan",
                {
                    **spectral,
                    "level_critic_norm": "none",
                    "level_critic_filters": 16,
                    "levels_in_turn": False,
                    "condition_augmentation": 32,
                    "condition_kl": 0.1,
                },
            ),
        },
        aims={"evolved": Aim("caption_error", {}, ("spectral",))},
        metrics=(
            *("caption_error", "fid", "caption_worst", *(f"{name}_error" for name in each), "caption_worst_real"),
            *("label_told", "label_effect"),
        ),
        note="Narrowed: 16 filters, rate 1e-3, batch 32. spectral: text_gan, hinge loss, projection, spectral norm, "
        "batch norms of the sentence; stackgan_spectral likewise, levels at once. Errors are shares of samples that "
        "are read, by rule, and the digit by the feature network, as something else than held-out captions say; _real "
        "is of held-out images.",
    )


def sequences() -> Part:
    """Whether a game makes better sequences than likelihood does, from as many rows, at whatever temperature."""
    at = [f"{name}_at_{t}" for name in ("nll_oracle", "valid", "distinct") for t in ("0.6", "0.8")]
    return Part(
        space="sequences",
        kimg=dict.fromkeys(("oracle", "grammar", "captions"), 96.0),
        published={name: {} for name in ("mle_lstm", "seqgan", "maskgan", "gumbel_gan", "softmax_gan")},
        by_hand={
            "untrained": ("mle_lstm", {"learning_rate": 1e-8}),
            "straight-through": ("gumbel_gan", {"token_gradient": "straight_through"}),
            "straight-through, likelihood first": (
                "gumbel_gan",
                {"token_gradient": "straight_through", "likelihood_share": 0.5, "game_rate": 0.1},
            ),
            "seqgan, slow game": ("seqgan", {"game_rate": 0.03, "reward_baseline": "mean"}),
        },
        aims={
            "evolved": Aim("nll_oracle", {}, ("mle_lstm", "seqgan"), ("oracle",)),
            "evolved, kl": Aim("exact_kl", {}, ("mle_lstm", "seqgan"), ("grammar", "captions")),
        },
        metrics=("nll_oracle", "exact_kl", "nll_test", "valid", "distinct", "bleu4", "self_bleu4", *at),
        more={"precision": "fp32", "samples": 10_000},
        note="96,000 sequences shown to the critic, or in the share of likelihood to the generator.",
    )


PARTS: dict[str, Callable[[], Part]] = {
    "inference": inference,
    "semi": semi,
    "translation": translation,
    "coupled": coupled,
    "super_resolution": super_resolution,
    "ladder": ladder,
    "pairs": pairs,
    "points": points,
    "captions": captions,
    "sequences": sequences,
}


if __name__ == "__main__":
    match sys.argv[1:]:
        case [name, "search", data] if name in PARTS:
            search(PARTS[name](), data)
        case [name, "train", data, *names] if name in PARTS:
            train(PARTS[name](), data, *names)
        case [name, "table", *data] if name in PARTS:
            table(PARTS[name](), name, *data)
        case _:
            sys.exit(__doc__)
