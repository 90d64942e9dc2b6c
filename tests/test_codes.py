"""GANs with an encoder: their judges, what is kept of them, and what can be done with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier

import evogan
from evogan import Gene, Space, UserError, api, cli, search
from evogan.data.dataset import changed
from evogan.evaluation.checkpoint import MAGIC, pack_generator
from evogan.evaluation.codes import Sweep, judged, pairs, plane, side_by_side
from evogan.evaluation.evaluator import GANEvaluator
from evogan.evaluation.players import read_players
from evogan.families import FAMILIES, family_of, image_fields
from evogan.families.build import build
from evogan.fitness.encoders import clustering_error, code_nn_error, mutual_information, nmi, reconstruction_ratio
from evogan.genes import GENES
from evogan.genes.gather import gathered
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.shipped import read_genome
from evogan.trial import FRESH, Choice, Evaluation, GANTask, Trial
from evogan.zoo.gan import Encodes


@pytest.fixture(scope="module", autouse=True)
def _coded() -> Iterator[None]:
    """The family of the plugin, which leaves nothing behind."""
    from tests import toy_encoder  # noqa: F401

    yield
    FAMILIES.pop("coded")
    GENES.become(gathered(FAMILIES.values()))
    del sys.modules["tests.toy_encoder"]


@pytest.fixture(scope="module")
def problem(_coded: None) -> tuple[GANTask, GANEvaluator]:
    return GANProblem(GANSettings(kimg=0.3, samples=100)).prepare()


def trial(task: GANTask, **more: Any) -> Trial:
    genome = GENES.read({"family": "coded", "learning_rate": 0.01, "batch_size": 16, **more})
    return Trial(genome, GENES.key(genome), task)


@pytest.fixture(scope="module")
def trained(problem: tuple[GANTask, GANEvaluator]) -> Evaluation:
    """Its weights are those of the last checkpoint."""
    return problem[1](replace(trial(problem[0]), choice=Choice(score="last"), whole=True))


@pytest.fixture(scope="module")
def file(trained: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coded")
    for name in ("generator.safetensors", "players.safetensors"):
        (folder / name).write_bytes(trained.files[name])
    return folder / "generator.safetensors"


# --- judges


@pytest.mark.parametrize(("categories", "classes"), [(4, 4), (5, 3), (3, 5)])
def test_the_best_map_of_categories_to_classes_is_the_best_of_all(categories: int, classes: int) -> None:
    rng = np.random.default_rng(categories)
    k, y = rng.integers(categories, size=60), rng.integers(classes, size=60)
    k[:30] = y[:30] % categories
    n = max(categories, classes)
    best = max(float(np.mean(np.array(to)[k] == y)) for to in permutations(range(n)))
    assert clustering_error(torch.tensor(k), torch.tensor(y)) == pytest.approx(1 - best)
    assert nmi(torch.tensor(k), torch.tensor(y)) == pytest.approx(normalized_mutual_info_score(y, k))
    assert clustering_error(torch.tensor(y), (torch.tensor(y) + 1) % n) == 0


def test_the_bound_is_the_mutual_information_where_the_posterior_is_exact() -> None:
    """Of a channel that says another of three categories in a quarter of the cases; less, of any other posterior."""
    asked, heard = np.repeat(np.arange(3), 400), np.tile(np.repeat(np.arange(3), 100), 4)
    heard = np.concatenate([[c] * 300 + [(c + 1) % 3] * 50 + [(c + 2) % 3] * 50 for c in range(3)])
    exact = torch.full((3, 3), 0.125).fill_diagonal_(0.75)
    one_hot = torch.eye(3)[asked]
    known = mutual_info_score(asked, heard)
    assert mutual_information(exact[heard], one_hot) == pytest.approx(known, rel=1e-6)
    assert mutual_information(torch.full((1200, 3), 1 / 3), one_hot) == pytest.approx(0, abs=1e-6)
    assert mutual_information((0.9 * exact + 1 / 30)[heard], one_hot) < known
    assert np.isfinite(mutual_information(torch.eye(3)[heard], one_hot))  # as sure of what is wrong as can be


def test_reconstructions_are_held_against_other_images() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(200, 1, 4, 4, generator=rng) * 2 - 1
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    pairs = [(images[order[i]] - images[order[i - 1]]).norm().item() for i in range(200)]
    again = 0.9 * images
    lost = [(0.1 * x).norm().item() for x in images]
    found = reconstruction_ratio(images, again, torch.Generator().manual_seed(1))
    assert found == pytest.approx(np.mean(lost) / np.mean(pairs), rel=1e-5)
    mean = images.mean(0).expand_as(images)
    assert reconstruction_ratio(images, mean, rng) == pytest.approx(0.5**0.5, abs=0.03)
    assert reconstruction_ratio(images, images.roll(1, 0), rng) == pytest.approx(1, abs=0.05)


def test_the_nearest_code_is_that_of_sklearn() -> None:
    rng = torch.Generator().manual_seed(0)
    known, codes = torch.randn(300, 5, generator=rng), torch.randn(90, 5, generator=rng)
    classes, labels = (x[:, 0].sign().add(1).long() for x in (known, codes))
    theirs = KNeighborsClassifier(1).fit(known.numpy(), classes.numpy()).score(codes.numpy(), labels.numpy())
    assert code_nn_error(known, classes, codes, labels) == pytest.approx(1 - theirs)


# --- in a training


def test_codes_are_judged_by_one_half_of_what_is_held_out_and_winners_by_the_other(
    problem: tuple[GANTask, GANEvaluator], trained: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, evaluate = problem
    for score in trained.scores:
        assert {"clustering_error", "nmi", "mutual_information", "reconstruction_ratio"} <= set(score)
    assert ["code_nn_error" in score for score in trained.scores] == [False, False, False, True]
    seen: dict[int, Any] = {}
    data = evaluate._dataset
    for replicate in (0, FRESH):
        monkeypatch.setattr(
            "evogan.evaluation.codes.clustering_error",
            lambda k, y, at=replicate: seen.setdefault(at, []).append(y.numpy()) or len(seen[at]) / 100,
        )
        scores = evaluate(replace(trial(task), replicate=replicate)).scores
        n = [int(100 * score["clustering_error"]) for score in scores]
        if replicate == FRESH:  # the search's half chooses the checkpoint
            assert [int(100 * score["validation_clustering_error"]) for score in scores] == [k - 1 for k in n]
            assert Choice(("clustering_error",)).place(scores) == 0
    assert data.held_out_labels is not None
    validation, test = data.held_out_labels[::2], data.held_out_labels[1::2]
    assert all((y == validation).all() for y in seen[0]) and len(seen[0]) == 4
    assert all((y == validation).all() for y in seen[FRESH][::2]) and all((y == test).all() for y in seen[FRESH][1::2])


def test_of_a_folder_class_by_class_all_classes_are_judged(
    problem: tuple[GANTask, GANEvaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more is held out than is judged by."""
    data = problem[1]._dataset
    assert data.held_out_labels is not None
    order = np.argsort(data.held_out_labels, kind="stable")
    sorted_by_class = changed(data, held_out=data.held_out[order], held_out_labels=data.held_out_labels[order])
    seen: list[torch.Tensor] = []
    monkeypatch.setattr("evogan.evaluation.codes.JUDGED", 50)
    monkeypatch.setattr("evogan.evaluation.codes.clustering_error", lambda k, y: seen.append(y) or 0.0)
    gan = build(trial(problem[0]).genome, image_fields(8, 1), 0)
    judged(cast(Encodes, gan), sorted_by_class, slice(0, None, 2), 0, 100, dear=False)
    assert [len(y) for y in seen] == [50] and set(seen[0].tolist()) == set(range(10))


def test_codes_that_are_no_numbers_are_a_failure(
    problem: tuple[GANTask, GANEvaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"category": torch.full((178, 10), torch.nan), "continuous": torch.zeros(178, 2)}
    monkeypatch.setattr("evogan.evaluation.codes.encode", lambda *_: found)
    failed = problem[1](trial(problem[0]))
    assert (failed.status, failed.reason) == ("diverged", "codes of images are NaN or infinite")


def test_without_labels_or_a_category_the_rest_is_measured(problem: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = problem
    score = evaluate(trial(task, kinds=1)).scores[-1]
    assert {"reconstruction_ratio", "code_nn_error"} <= set(score)
    assert not {"clustering_error", "nmi", "mutual_information"} & set(score)


def test_a_search_by_what_no_encoder_can_tell_is_one_clear_line(tmp_path: Path) -> None:
    rates = [Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3)]
    kinds = [Gene(name="kinds", kind="int", low=1, high=9)]
    coded = Space("coded", rates, fixed={"family": "coded"}, table=GENES)
    free = Space("free", kinds, fixed={"family": "coded"}, table=GENES)
    beside = Space("beside", rates, fixed={"family": "coded"}, table=GENES, reference=["wgan"])
    np.savez(tmp_path / "bare.npz", images=np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8))
    bare = {"data": tmp_path / "bare.npz", "features": "digits"}
    for space, metric, more, said in (
        ("wdcgan", "nmi", {}, "'nmi' judges GANs with an encoder: not every GAN of space 'wdcgan' has one"),
        (beside, "reconstruction_ratio", {}, "with an encoder: not every GAN of reference 'wgan' has one"),
        (free, "clustering_error", {}, "judges codes with a category: not every GAN of space 'free' has one"),
        (coded, "code_nn_error", bare, "'code_nn_error' needs images with labels: 'bare' has none"),
    ):
        with pytest.raises(UserError, match=said):
            search(space, fitness=metric, runs=tmp_path, **more)
    assert not list(tmp_path.glob("*.db"))


# --- what is kept


def test_what_is_loaded_encodes_and_decodes_as_it_was_judged(
    problem: tuple[GANTask, GANEvaluator], trained: Evaluation, file: Path
) -> None:
    data, kept = problem[1]._dataset, trained.scores[-1]
    assert data.labels is not None and data.held_out_labels is not None
    coder = evogan.load(file)
    assert coder.code == {"category": 10, "continuous": 2}
    images, y = data.held_out[::2].copy(), data.held_out_labels[::2]
    code = coder.encode(images)
    again = coder.encode(torch.tensor(images).float() / 127.5 - 1)
    assert all(torch.allclose(code[name], again[name], atol=1e-6) for name in coder.code)
    k = code["category"].argmax(1)
    assert clustering_error(k, torch.tensor(y)) == pytest.approx(kept["clustering_error"])
    x, back = torch.tensor(images).flatten(1) / 127.5 - 1, coder.decode(code).flatten(1)
    pairs = (x[:, None] - x[None]).norm(dim=2).sum() / (len(x) * (len(x) - 1))
    assert float((x - back).norm(dim=1).mean() / pairs) == pytest.approx(kept["reconstruction_ratio"], rel=0.05)
    flat = [torch.cat([*coder.encode(part).values()], 1).numpy() for part in (data.images.copy(), images)]
    nearest = KNeighborsClassifier(1).fit(flat[0], data.labels).score(flat[1], y)
    assert 1 - nearest == pytest.approx(kept["code_nn_error"], abs=1.5 / len(y))
    free, asked = (coder._prompt(20, 1, None, category) for category in (None, 3))
    assert (asked["category"] == torch.eye(10)[3]).all() and torch.equal(asked["latent"], free["latent"])
    scores = api.evaluate(file, samples=100)
    assert {"fid", "clustering_error", "nmi", "mutual_information", "reconstruction_ratio", "code_nn_error"} <= set(
        scores
    )
    everything = coder.encode(data.held_out.copy())["category"].argmax(1)
    assert scores["clustering_error"] == clustering_error(everything, torch.tensor(data.held_out_labels))
    whole = read_players(file.parent / "players.safetensors")
    shown = torch.tensor(images).float() / 127.5 - 1
    assert isinstance(whole.gan, Encodes) and whole.form.facts["code"] == coder.code
    assert torch.allclose(whole.gan.encode(shown)["category"], code["category"], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header, state: header.update(code={"category": 9, "continuous": 2}), "its code is not that of its"),
        (lambda header, state: header.pop("code"), "its code is not that of its genome"),
        (lambda header, state: state.pop("encoder/1.weight"), "its weights do not fit its genome"),
        (lambda header, state: state.update({"encoder/1.bias": torch.full((12,), torch.nan)}), "not all numbers of"),
    ],
)
def test_a_damaged_encoder_is_one_clear_line(change: Any, said: str, file: Path, tmp_path: Path) -> None:
    with safe_open(str(file), "pt") as opened:
        header = json.loads(opened.metadata()[MAGIC])
        state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(header, state)
    save_file(state, tmp_path / "other.safetensors", {MAGIC: json.dumps(header)})
    with pytest.raises(UserError, match=f"other.safetensors' is damaged: {said}"):
        evogan.load(tmp_path / "other.safetensors")


def test_what_goes_on_from_a_lower_fidelity_ends_with_the_same_pictures(
    problem: tuple[GANTask, GANEvaluator], trained: Evaluation
) -> None:
    task, evaluate = problem
    asked = replace(trial(task), choice=Choice(score="last"))
    half = evaluate(replace(asked, fidelity=0.6))
    assert {"codes.png", "reconstructions.png"} <= half.files.keys()
    gone_on = evaluate(replace(asked, earlier=half))
    assert gone_on.provenance["continued_from"] == 0.6
    for name in ("codes.png", "reconstructions.png", "generator.safetensors"):
        assert gone_on.files[name] == trained.files[name]
    best = evaluate(replace(trial(task), choice=Choice(("clustering_error",))))
    assert best.files["codes.png"] != half.files["codes.png"]


INFERENCE = ["infogan", "bigan", "vae_gan", "vae_gan_three_class", "bivae"]


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("name", INFERENCE)
def test_published_encoders_are_kept(name: str, ema: float, tmp_path: Path) -> None:
    """Whole: what is loaded says the same of images and of codes, and each image's code is its own."""
    genome = GENES.read({**read_genome(name).genome, "filters": 8, "ema": ema, "init": "normal", "init_std": 0.2})
    gan = build(genome, image_fields(8, 1), seed=0)
    assert isinstance(gan, Encodes) and gan.code == family_of(genome).code(GENES.complete(genome))
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for network in gan.networks.values():  # as if they had been trained
        for buffer in network.buffers():
            if buffer.is_floating_point() and buffer.dim():
                buffer += 0.1
    task = GANTask(name="x", fingerprint="", image_size=8, channels=1, kimg=1.0, features="digits")
    (tmp_path / "g.safetensors").write_bytes(pack_generator(gan, genome, task, {"fid": 1.0}))
    coder, code = evogan.load(tmp_path / "g.safetensors"), gan.encode(images)
    assert coder.code == gan.code
    for part, numbers in coder.encode(images).items():
        assert torch.allclose(numbers, code[part], atol=1e-5)
        assert torch.allclose(coder.encode(images[:3])[part], numbers[:3], atol=1e-5)
    assert torch.allclose(coder.decode(code), gan.decode(code), atol=1e-5)
    swept = coder.sweep_code(5)
    assert swept.shape == (*((10, 2) if name == "infogan" else (10, 1)), 5, 1, 8, 8)
    assert (swept[0, 0, 0] - swept[0, 0, 4]).abs().max() > 1e-3


# --- what is seen of a code


def prompt(n: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    found = {name: torch.randn(n, size, generator=rng) for name, size in (("continuous", 2), ("latent", 4))}
    return {**found, "category": torch.eye(3)[torch.arange(n) % 3]}


class Kinds:
    def __init__(self, **code: int) -> None:
        self.code = code


def swept(code: dict[str, int], **more: Any) -> tuple[Any, Any]:
    found = Sweep.of(cast(Any, Kinds(**code)), prompt(5), **more)
    cells = {name: x.unflatten(0, (-1, found.panels * found.columns)) for name, x in found.prompt.items()}
    return found, cells


def test_a_code_is_swept_along_a_row() -> None:
    ends, still = torch.linspace(-2, 2, 5), torch.zeros(5)
    found, cells = swept({"category": 3, "continuous": 2})
    assert (found.panels, found.columns) == (2, 5)
    assert (cells["category"].argmax(2) == torch.arange(3)[:, None]).all()
    for row in cells["continuous"]:  # a panel a code, the other one being 0
        assert torch.equal(row[:5].T, torch.stack([ends, still]))
        assert torch.equal(row[5:].T, torch.stack([still, ends]))
    assert (cells["latent"] == prompt(5)["latent"][0]).all()  # all else is the same
    images, columns = side_by_side(found.arranged(torch.arange(30.0).view(30, 1, 1, 1)))
    assert columns == 11 and images.view(3, 11)[1].tolist() == [*range(10, 15), -1, *range(15, 20)]
    _, cells = swept({"category": 3, "continuous": 2}, category=1)
    assert (cells["category"].argmax(2) == 1).all()  # of one category a row a code
    assert torch.equal(cells["continuous"][0].T, torch.stack([ends, still]))
    assert torch.equal(cells["continuous"][1].T, torch.stack([still, ends]))
    _, cells = swept({"category": 3})  # only a category: columns are samples
    assert (cells["latent"] == prompt(5)["latent"]).all() and cells["latent"].shape == (3, 5, 4)
    _, cells = swept({"latent": 4})
    assert torch.equal(cells["latent"][2, :, 2], ends) and (cells["latent"][2, :, 0] == cells["latent"][2, 0, 0]).all()


def test_images_stand_above_their_reconstructions() -> None:
    x = torch.arange(5.0).view(5, 1, 1, 1)
    assert pairs(x, x + 10, 3).flatten().tolist() == [0, 1, 2, 10, 11, 12, 3, 4, -1, 13, 14, -1]


def test_codes_lie_in_the_plane_that_sees_most_of_them() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) * [5, 3, 0.1, 0.1, 0.1]
    found = plane({"latent": torch.tensor(x).float()})
    centred = x - x.mean(0)
    values = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    assert (found.points**2).sum(0) == pytest.approx(values[:2], rel=1e-4)
    assert f"{values[0] / values.sum():.0%}" in found.across and f"{values[1] / values.sum():.0%}" in found.up
    alone = plane({"continuous": torch.arange(4.0)[:, None]})
    assert alone.points.shape == (4, 2) and "100%" in alone.across and (alone.points[:, 1] == 0).all()
    assert (plane({"latent": torch.ones(1, 5)}).points == 0).all()  # of one image


@pytest.mark.parametrize("continuous", [0, 1, 2, 3])
def test_a_category_has_a_column(continuous: int) -> None:
    rng = torch.Generator().manual_seed(0)
    numbers = torch.randn(50, continuous, generator=rng)
    code = {"category": torch.rand(50, 4, generator=rng).softmax(1), **({"continuous": numbers} if continuous else {})}
    found = plane(code)
    assert found.columns == 4 and (found.points[:, 0].round() == code["category"].argmax(1).numpy()).all()
    up = code["category"].max(1).values if not continuous else numbers[:, min(continuous, 2) - 1]
    assert found.points[:, 1] == pytest.approx(up.double().numpy())


# --- on the command line


@pytest.fixture
def shell(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str, str]]:
    """Code, output and errors of a command in a folder with the generator `g` and a plain one `p`."""
    (tmp_path / "g.safetensors").write_bytes(file.read_bytes())
    genome = GENES.read({"backbone": "mlp"})
    gan = build(genome, image_fields(8, 1), seed=0)
    task = GANTask(name="x", fingerprint="", image_size=8, channels=1, kimg=1.0, features="digits")
    (tmp_path / "p.safetensors").write_bytes(pack_generator(gan, genome, task, {"fid": 1.0}))
    monkeypatch.chdir(tmp_path)

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evogan", *command.split()])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


def test_codes_of_images_are_a_table(shell: Callable[[str], tuple[int, str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (30, 20), dtype=np.uint8)).save(folder / f"{i}.png")
    code, out, err = shell("encode g.safetensors --data photos --image-size 8 --to all.parquet")
    assert code == 0 and out.startswith("5 images: ") and "of 5 images that are not square the centre is taken" in err
    table = pd.read_parquet("all.parquet")
    assert [*table.columns] == [
        *("image", "part", "category"),
        *(f"category_{i}" for i in range(10)),
        *("continuous_0", "continuous_1"),
    ]
    assert [*table["image"]] == [f"photos/{i}.png" for i in range(5)] and [*table["part"]].count("held out") == 2
    (folder / "0.png").rename(folder / "9.png")
    assert shell("encode g.safetensors --data photos --image-size 8 --to moved.parquet")[0] == 0
    moved, parts = pd.read_parquet("moved.parquet"), ["image", "part"]
    assert moved["image"][4] == "photos/9.png"
    pd.testing.assert_frame_equal(
        moved.drop(columns=parts), table.drop(columns=parts).iloc[[1, 2, 3, 4, 0]].reset_index(drop=True)
    )
    code, _, err = shell("encode g.safetensors --data photos --image-size 8 --picture photos/seen.png")
    assert code == 2 and "lies in the folder of --data 'photos'" in err
    assert (table[[f"category_{i}" for i in range(10)]].to_numpy().argmax(1) == table["category"]).all()
    assert Image.open("reconstructions.png").size == (5 * 72, 2 * 72) and Image.open("code_map.png").size > (500, 500)
    assert shell("encode g.safetensors --data digits --to all.csv")[0] == 0
    assert len(pd.read_csv("all.csv")) == 1797 and pd.read_csv("all.csv")["class"].nunique() == 10


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sample g.safetensors --code 3 -n 8", ""),
        ("sample g.safetensors --sweep", ""),
        ("sample --sweep g.safetensors --code 3", ""),
        ("sample g.safetensors --sweep -o samples.npz", ""),
        ("sample p.safetensors --sweep 2", ""),
        ("sample g.safetensors --code 12", "code must be at most 9, not 12"),
        ("sample g.safetensors --code -1", "code must be"),
        ("sample g.safetensors --sweep=x", "--sweep 'x': the number of a coordinate, or nothing"),
        ("sample g.safetensors --code 1 --mix", "--mix and --code do not go together"),
        ("sample p.safetensors --code 3", "this GAN has no encoder"),
        ("sample p.safetensors --sweep", "this GAN has no encoder"),
        ("encode p.safetensors --data digits", "this GAN has no encoder"),
        ("encode g.safetensors --data empty", "no images in folder 'empty'"),
        ("encode g.safetensors --data wide.npz", "'wide' has 12x12 with 1 channel: --image-size 8"),
        ("encode g.safetensors --data colour.npz", "'colour' has 8x8 with 3 channels"),
        ("encode g.safetensors --data digits --to codes.txt", "a file, .csv or .parquet"),
    ],
)
def test_what_fits_no_code_is_one_clear_line(
    command: str, said: str, shell: Callable[[str], tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name, shape in (("wide", (9, 12, 12)), ("colour", (9, 8, 8, 3))):
        np.savez(f"{name}.npz", images=np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))
    code, _, err = shell(command)
    assert code == (2 if said else 0), err
    assert said in err and len(err.splitlines()) == (1 if said else 0)
    made = tmp_path / ("samples.npz" if "samples.npz" in command else "samples.png")
    assert made.exists() is not bool(said)
    assert not made.name.endswith("npz") or np.load(made)["images"].shape == (10 * 2 * 8, 1, 8, 8)


def test_from_python_what_is_no_image_or_no_code_is_one_clear_line(file: Path) -> None:
    coder = evogan.load(file)
    for images, said in (
        (np.zeros((2, 1, 9, 9), np.uint8), r"images must be \(N, 1, 8, 8\)"),
        (np.zeros((0, 1, 8, 8), np.uint8), "images must be"),
        (np.full((2, 1, 8, 8), 200.0), "pixels must be uint8"),
        (np.zeros((2, 1, 8, 8), np.int64), "pixels must be uint8"),
    ):
        with pytest.raises(UserError, match=said):
            coder.encode(images)
    with pytest.raises(UserError, match=r"codes must be of category \(N, 10\) and continuous \(N, 2\)"):
        coder.decode({"category": torch.zeros(2, 10)})
