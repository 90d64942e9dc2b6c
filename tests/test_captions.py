"""Conditions that are vectors: attributes of a table, sentences of coloured digits; and images read by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

import evogan
import evogan.api
from evogan import UserError
from evogan.data import Dataset, DataSpec
from evogan.data import sentence_codes as coding
from evogan.data.captions import ATTRIBUTES, sentence, sentences
from evogan.data.coloured import coloured, slanted, thinned
from evogan.data.conditions import DIGIT, VALUES, captioned, truths
from evogan.data.dataset import image_dataset
from evogan.data.load import load_dataset
from evogan.evaluation.players import read_players
from evogan.families import Field
from evogan.families.build import build, check, impossible
from evogan.fitness.captions import CaptionErrors, measured
from evogan.fitness.train_features import train_features
from evogan.genes import GENES
from evogan.report.page import train_command
from evogan.settings import GANSettings
from evogan.training import Population
from evogan.trial import Choice
from evogan.zoo.conditioning import one_hot, other_labels
from evogan.zoo.gan import Batch
from tests.draws import rng
from tests.test_cli import Run, run  # noqa: F401  (a fixture)
from tests.test_population import DoubleTrainer, run_all

K = 5
CAPTIONED = DataSpec("digits", 16, classes=("1", "3", "7"), conditions="captions:one_hot")
SMALL: dict[str, Any] = {
    "loss": "hinge",
    "critic_constraint": "none",
    "condition": "labels",
    "filters": 4,
    "latent": 6,
    "batch_size": 6,
    "init_std": 0.1,
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(CAPTIONED)


# --- coloured digits


@pytest.mark.parametrize("size", [16, 20, 28])
def test_what_is_made_by_rule_is_read_by_rule(size: int) -> None:
    grey = load_dataset(DataSpec("digits", size))
    values = VALUES[np.random.default_rng(0).integers(len(VALUES), size=len(grey.images))]
    assert grey.labels is not None
    values[:, DIGIT] = grey.labels
    read = measured(torch.tensor(coloured(grey.images, values)).float() / 127.5 - 1)
    for name, true in zip(ATTRIBUTES, torch.tensor(values).T, strict=True):
        found = read.get(name)
        if found is not None and found.is_floating_point():
            means = torch.stack([found[true == k].mean() for k in range(len(ATTRIBUTES[name]))])
            found = (found[:, None] - means).abs().argmin(1)
        assert found is None or (found == true).double().mean() >= 0.99, name


def test_a_digit_is_what_it_was(data: Dataset) -> None:
    """And is drawn so that it can be told; what is read of held-out images is what they were made by."""
    known = truths(data)
    assert known.labels is not None and known.held_out_labels is not None
    ink, unseen = (
        np.abs(images.astype(float) - images[:, :, :1, :1]).sum(1).reshape(len(images), -1) / 500
        for images in (data.images, data.held_out)
    )
    told = LogisticRegression(max_iter=200).fit(ink[::4], known.labels[::4])
    assert told.score(unseen, known.held_out_labels) >= 0.95
    digits = functional.one_hot(torch.tensor(known.held_out_labels), 10).float()
    errors = CaptionErrors.of(data, digits)
    assert errors is not None and CaptionErrors.of(data, digits.roll(1, 1)) is None
    asked = torch.tensor(data.unseen["images"]["conditions"])
    found = errors.measure(torch.tensor(data.held_out).float() / 127.5 - 1, digits, asked)
    assert found["caption_worst"] == found["caption_worst_real"] <= 0.01
    others = errors.measure(torch.tensor(data.held_out).float() / 127.5 - 1, digits, asked.roll(1))
    assert others["background_error"] == pytest.approx(2 / 3, abs=0.05)
    assert others["caption_error"] == pytest.approx(
        sum(others[f"{name}_error"] for name in ATTRIBUTES) / len(ATTRIBUTES)
    )


def test_features_learn_all_that_is_true(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[Any] = []
    monkeypatch.setitem(train_features.__globals__, "fit", lambda *given, **_: learned.append(given[1:4]))
    known = truths(data)
    few = {"images": {name: rows[:150] for name, rows in known.train["images"].items()}}
    network = train_features(Dataset("few", few, few, known.class_names))
    (heads, images, labels), seen = learned[0], few["images"]["images"]
    assert [head.out_features for _, head in heads] == [8, 2, 5, 3, 3] and heads[0][1] is network.head
    place = [int((seen == image.numpy()).all((1, 2, 3)).argmax()) for image in images]
    for i, own in enumerate((few["images"]["labels"], *few["images"]["attributes"].T)):
        assert (heads[i][0].examples(images, labels, rng())[1].numpy() == own[place]).all()


def test_lines_are_thin_and_whole() -> None:
    """A bar of 5 x 20 becomes a line of about its length; a ring stays one."""
    bar, ring = np.zeros((2, 28, 28), dtype=bool)
    bar[4:24, 10:15] = True
    y, x = np.ogrid[:28, :28]
    ring[abs(np.hypot(y - 14, x - 14) - 8) < 2.5] = True
    lines = thinned(np.stack([bar, ring]))
    assert 14 <= lines[0].sum() <= 20 and (lines[0].sum(1) <= 1).all()
    assert not (lines[1] & ~ring).any() and (lines[1][14] > 0).sum() == 2 and (lines[1][:, 14] > 0).sum() == 2
    straight = np.zeros((1, 20, 20), dtype=np.uint8)
    straight[0, np.arange(20), np.arange(20)] = 255
    upright = slanted(straight, np.zeros(1))[0]
    assert set(np.flatnonzero(upright.any(0))) <= {9, 10}


# --- sentences as vectors


def test_codes_are_the_same_whenever_they_are_learned() -> None:
    for kind in ("one_hot", "words"):
        found = coding.codes(kind)
        assert len(np.unique(found, axis=0)) == 900 and found.dtype == np.float32
        np.testing.assert_allclose(coding.KINDS[kind]().float().numpy(), found, atol=2e-3)
    for i in (0, 417, 899):
        words = [ATTRIBUTES[name][v] for name, v in zip(ATTRIBUTES, VALUES[i], strict=True)]
        assert sentence(VALUES[i]) == sentences()[i] and all(w in sentences()[i] or w == "upright" for w in words)
        assert coding.one_hot()[i].nonzero()[:, 0].tolist() == [
            v + sum(map(len, [*ATTRIBUTES.values()][:k])) for k, v in enumerate(VALUES[i])
        ]


def test_the_skip_gram_is_least_at_shifted_mutual_information() -> None:
    """Levy and Goldberg 2014: w_i c_j = log(n_ij / (m n_i p_j))."""
    said = coding.tokens(coding.text()[:50])
    pairs = coding.pairs(said)
    near = [(int(a), int(b)) for i, a in enumerate(said) for b in said[max(0, i - 10) : i + 11]]
    counted = np.zeros(pairs.shape)
    np.add.at(counted, tuple(np.array(near).T), 1)
    counted -= np.diag(np.bincount(said.numpy(), minlength=len(pairs)))  # itself
    np.testing.assert_array_equal(pairs.numpy(), counted)
    there = pairs.sum(1) > 0
    pairs = pairs[there][:, there] + 1
    noise = pairs.sum(1) ** 0.75 / (pairs.sum(1) ** 0.75).sum()
    best = torch.log(pairs / (coding.NEGATIVES * pairs.sum(1)[:, None] * noise))
    vectors = torch.eye(len(pairs), dtype=torch.float64).requires_grad_()
    contexts = best.T.clone().requires_grad_()
    for gradient in torch.autograd.grad(coding.skip_gram_loss(pairs, vectors, contexts), (vectors, contexts)):
        assert gradient.abs().max() < 1e-12


def test_skip_thought_reads_a_sentence_to_its_end_and_learns() -> None:
    said = coding.padded(coding.text()[:60])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = coding.SkipThought()
    alone = torch.cat([network.encode(coding.padded([one])) for one in coding.text()[:60]])
    torch.testing.assert_close(network.encode(said), alone)
    words = network.embedding.num_embeddings - 1
    uniform = 2 * np.log(words)
    assert float(network.loss(said[:-2], said[1:-1], said[2:]).detach()) == pytest.approx(uniform, rel=0.1)


# --- vectors in the place of classes


@pytest.mark.parametrize("how", ["planes", "embedded_plane", "projection", "two_heads"])
@pytest.mark.parametrize(
    "genes",
    [
        {"backbone": "dcgan", "generator_label": "product", "label_norm": "per_class", "critic_norm": "none"},
        {"backbone": "mlp", "generator_label": "one_hot"},
        {"family": "ladder", "latent_prior": "normal", "condition_augmentation": 3, "level_critic_filters": 4},
    ],
)
def test_one_hot_vectors_are_classes(how: str, genes: dict[str, Any]) -> None:
    wrong = {} if how == "two_heads" else {"wrong_label": 0.5}
    genome = GENES.read({**{k: v for k, v in SMALL.items() if k != "init_std"}, **genes, **wrong, "critic_label": how})
    images = {"images": Field((3, 16, 16))}
    labels = torch.tensor([3, 0, 4, 4, 1, 2])
    by_class, by_vector = (build(genome, {**images, "labels": f}, 0) for f in (Field((), K), Field((K,))))
    for player in ("critic", "generator"):
        shown = {"images": 2 * torch.rand(6, 3, 16, 16, generator=rng(1)) - 1, "labels": labels}
        batch = by_class.draw(player, 6, {name: shown[name] for name in by_class.needs(player)}, rng(2))

        def told(name: str, x: Tensor) -> Tensor:
            return one_hot(x, K) if name.endswith(("labels", "wrong labels")) else x

        same = Batch(
            {name: told(name, x) for name, x in batch.data.items()},
            {name: tuple(told(name, x) for x in drawn) for name, drawn in batch.draws.items()},
        )
        one, other = by_class.loss(player, batch), by_vector.loss(player, same)
        assert {k: float(v.detach()) for k, v in one.terms.items()} == {
            k: float(v.detach()) for k, v in other.terms.items()
        }
        assert by_class.players[player].state_dict().keys() == by_vector.players[player].state_dict().keys()
    prompt = by_class.prompts(6, {"labels": labels}, rng(3))
    vectors = by_vector.prompts(6, {"labels": one_hot(labels, K)}, rng(3))
    assert torch.equal(by_class.sample(prompt), by_vector.sample(vectors))


def test_a_wrong_condition_is_another_one() -> None:
    rows = functional.one_hot(torch.tensor([0, 1, 1, 2, 0, 0])).float()
    found = torch.stack([other_labels(rows, 3, rng(seed)) for seed in range(100)])
    assert (found != rows).any(2).all() and len(found.flatten(0, 1).unique(dim=0)) == 3
    assert torch.equal(other_labels(rows[1:3], 3, rng()), rows[1:3])


def test_vectors_in_a_stack() -> None:
    images = torch.randint(0, 256, (24, 1, 8, 8), generator=rng(), dtype=torch.uint8)
    streams = {"images": {"images": images, "labels": torch.randn(24, K, generator=rng(1))}}

    def made(rate: float) -> DoubleTrainer:
        genome = {**SMALL, "backbone": "mlp", "wrong_label": 0.5, "learning_rate": rate}
        genome |= {"critic_optimizer": "sgd", "generator_optimizer": "sgd"}
        phenotype = GENES.complete(GENES.read(genome))
        gan = build(phenotype, {"images": Field((1, 8, 8)), "labels": Field((K,))}, 1)
        return DoubleTrainer(gan, phenotype, streams, seed=1, device=torch.device("cpu"), iterations=4)

    alone, fused = ([made(1e-2), made(5e-3)] for _ in range(2))
    for one in alone:
        one.run_to(4)
    run_all(Population(fused), {0: 4, 1: 4})
    for one, other in zip(alone, fused, strict=True):
        for name in one.gan.players:
            for a, b in zip(one.gan.players[name].parameters(), other.gan.players[name].parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_what_takes_classes_alone_is_refused() -> None:
    fields = {"images": Field((1, 16, 16)), "labels": Field((K,))}
    for gene in ({"critic_label": "auxiliary"}, {"backbone": "dcgan", "generator_norm": "virtual_batch"}):
        with pytest.raises(UserError, match="and these conditions are vectors"):
            check(GENES.read({**SMALL, **gene}), fields)
    assert impossible(fields, ["plain"])["critic_label"] == ["auxiliary"]
    assert impossible(fields)["condition"] == []
    check(GENES.read(SMALL), {**fields, "labels": Field((1,))})  # yes or no


# --- what a user asks for


def test_a_gan_of_sentences_from_end_to_end(tmp_path: Path, run: Run) -> None:  # noqa: F811
    form: dict[str, Any] = {
        "image_size": 16,
        "classes": "1,3,7",
        "conditions": "captions:one_hot",
        "features": "digits",
    }
    genome = {**SMALL, "backbone": "mlp", "wrong_label": 0.5}
    evaluation, folder = evogan.train(genome, "digits", kimg=0.3, samples=100, runs=tmp_path, **form)
    scores = evaluation.scores[-1]
    assert scores["caption_worst"] >= scores["caption_error"] >= scores["caption_error_real"] >= 0
    assert 0 <= scores["label_told"] <= 1 and scores["tilt_error_real"] == 0 and "gan_train_error" not in scores
    with Image.open(folder / "samples.png") as grid:
        assert grid.width < grid.height  # 8 rows with words below
    generator = evogan.load(folder / "generator.safetensors")
    assert generator.classes == tuple(sentences()) and generator.sample(3).shape == (3, 3, 16, 16)
    green = "a thin green three on black"
    made = generator.sample(2, seed=4, text=[green, "A red one!".replace("!", ".")])
    torch.testing.assert_close(made[:2], generator.sample(2, seed=4, label=green))
    assert not torch.equal(made[2], made[3]) and generator.class_grid(2).shape == (40, 3, 16, 16)
    named = {sentences()[i] for i in generator.at_random(50).tolist()}
    assert len(named) > 20
    assert evogan.api.evaluate(
        folder / "generator.safetensors", "digits", samples=60, runs=tmp_path, **form
    ).keys() >= {
        "caption_error",
        "fid",
    }
    critic = evogan.load_critic(folder / "players.safetensors")
    images = np.zeros((2, 3, 16, 16), dtype=np.uint8)
    assert len(critic.score(images, [0, 5])) == 2 and read_players(folder).form.told == 23
    out = tmp_path / "said.png"
    file = str(folder / "generator.safetensors")
    assert run("sample", file, "--text", green, "--text", "pink seven", "-o", str(out)).code == 0
    with Image.open(out) as said:
        assert said.width > 3 * said.height > 0  # 8 beside each other, two rows
    wrong = run("sample", file, "--text", "a thin mauve three")
    assert wrong.code == 2 and "mauve" in wrong.err and "pink" in wrong.err


def test_attributes_of_a_table(tmp_path: Path) -> None:
    draw, names = np.random.default_rng(0), [f"{part}/{i}.png" for part in ("train", "test") for i in range(20)]
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    table = pd.DataFrame({"file": names, "hair": ["red", "black", "grey", "red"] * 10, "hat": [0, 1, 1, 1] * 10})
    path = tmp_path / "table.csv"

    def load(rows: pd.DataFrame) -> Dataset:
        rows.assign(same="x").to_csv(path, index=False)
        return load_dataset(DataSpec(str(tmp_path / "images"), conditions=f"attributes:{path}"))

    data = load(table)
    images = [np.asarray(Image.open(tmp_path / "images" / name)).tobytes() for name in names]
    for image, row in zip(data.images, data.train["images"]["labels"], strict=True):
        told = table.iloc[images.index(image.tobytes())]
        assert row.tolist() == [*(told.hair == value for value in ("black", "grey", "red")), told.hat]
    assert data.labels is None and data.class_count is None and data.fields["labels"] == Field((4,))
    assert data.conditions is not None and len(data.conditions.names) == 4
    assert data.conditions.names[0] == "hair=black hat=1 same=x"
    with pytest.raises(UserError, match="1 of 40 lines name no image that is there: 'train/99.png'"):
        load(table.assign(file=["train/99.png", *names[1:]]))
    with pytest.raises(UserError, match="'train/0.png' has two lines that differ"):
        load(pd.concat([table, table[:1].assign(hat=1)]))
    with pytest.raises(UserError, match="two columns are called 'same'"):
        load(table.rename(columns={"hat": "same "}))
    mixed = load(table.assign(hat=["no", "1", "yes", "true"] * 10))
    assert mixed.fields["labels"] == Field((4,)) and len(mixed.conditions.names) == 4, "one answer, several spellings"
    assert np.array_equal(mixed.train["images"]["labels"], data.train["images"]["labels"])
    three = load(table.assign(hat=["-1", "0", "1", "1"] * 10))
    assert three.fields["labels"] == Field((6,)), "numbers, not answers"
    with pytest.raises(UserError, match="a cell is empty"):
        load(table.assign(hair=["nan", "black", "grey", "red"] * 10))
    with pytest.raises(UserError, match="there is nothing to ask for"):
        load(table[["file"]])
    load(table)
    evaluation, folder = evogan.train(
        {**SMALL, "backbone": "mlp"},
        tmp_path / "images",
        conditions=f"attributes:{path}",
        kimg=0.1,
        samples=50,
        features="digits",
        runs=tmp_path,
    )
    assert evaluation.status == "completed" and "label_told" in evaluation.scores[-1]
    generator = evogan.load(folder / "generator.safetensors")
    assert generator.sample(2, label="hair=red hat=0 same=x").shape == (2, 1, 8, 8)
    with pytest.raises(UserError, match="unknown label 'hair=blue'"):
        generator.sample(2, label="hair=blue")
    with pytest.raises(UserError, match="asked for no sentences"):
        generator.sample(2, text="a red three")


def test_digits_of_a_folder_are_coloured_in_an_order_that_says_nothing(tmp_path: Path) -> None:
    """What judges captions looks at the first of them."""
    draw = np.random.default_rng(0)
    for digit in "03":
        (tmp_path / digit).mkdir()
        for i in range(100):
            Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8)).save(tmp_path / digit / f"{i}.png")
    data = load_dataset(DataSpec(str(tmp_path), conditions="captions:one_hot"))
    digits = VALUES[data.train["images"]["conditions"]][:40, DIGIT]
    assert set(digits.tolist()) == {0, 3} and 10 < (digits == 0).sum() < 30


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    """24 images, 0.png to 23.png."""
    (tmp_path / "images").mkdir()
    for i in range(24):
        Image.new("L", (8, 8), 10 * i).save(tmp_path / "images" / f"{i}.png")
    return tmp_path / "images"


def _asked(folder: Path, table: str) -> tuple[str, ...]:
    path = folder.parent / "table.csv"
    path.write_text(table)
    data = load_dataset(DataSpec(str(folder), conditions=f"attributes:{path}"))
    assert data.conditions is not None
    return data.conditions.names


@pytest.mark.parametrize(
    ("header", "line", "others", "said"),
    [
        ("file,hair,hat", "0.png,red, curly,1", "{i}.png,red,{hat}", "line 2 has 4 columns, not 3"),
        ("file,hair,hat", "0.png,red,", "{i}.png,red,{hat}", r"a cell is empty \(line 2, 'hat'\)"),
        (",file,hat", "0,0.png,1", "{i},{i}.png,{hat}", "column 1 has no name: name it, or the others"),
    ],
)
def test_a_table_that_says_something_else_than_is_meant_is_refused(
    header: str, line: str, others: str, said: str, striped: Path
) -> None:
    with pytest.raises(UserError, match=said):
        _asked(striped, "\n".join([header, line, *(others.format(i=i, hat=i % 2) for i in range(1, 24))]))


def test_one_number_in_two_spellings_is_one(striped: Path) -> None:
    cells = ["0", "1", "0.0", "1.0", "1.", "01"] * 4
    found = _asked(striped, "\n".join(["file,hat", *(f"{i}.png,{cell}" for i, cell in enumerate(cells))]))
    assert found == ("hat=0", "hat=01", "hat=1")


def test_what_repeats_a_training_says_what_was_asked_for() -> None:
    for made in (
        *({"conditions": "captions:words"}, {"domains": "edges"}, {"pairs": "low:4"}),
        *({"tokens": "characters"}, {"threads": 2}),
    ):
        ((option, value),) = made.items()
        assert f"--{option} {value}" in train_command(GANSettings.of(**made), Choice(), "best.toml")
    command = train_command(GANSettings(), Choice(("kid", "fid"), "last"), "best.toml")
    assert command.endswith("--fitness kid,fid --score last") and "--fitness" not in train_command(
        GANSettings(), Choice(), "best.toml"
    )


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"conditions": "captions"}, "need images of 16 pixels a side or more, 'digits' has 8: --image-size 20"),
        ({"conditions": "captions:thoughts"}, "unknown code of captions 'thoughts'"),
        ({"conditions": "words"}, "conditions 'words': captions, captions:CODE"),
        ({"conditions": "captions", "domains": "edges"}, "conditions and domains are both given"),
        ({"conditions": "captions", "labels": 50}, "conditions and labels are both given"),
        ({"conditions": "attributes:none.csv"}, "'digits' is no folder whose files it could name"),
        ({"data": "ring", "conditions": "captions"}, "has points: --conditions is for images"),
    ],
)
def test_what_cannot_be_asked_for_is_said(asked: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line):
        evogan.train({**SMALL, "backbone": "mlp"}, **{"data": "digits", "runs": tmp_path, **asked})


def test_captions_are_of_grey_digits_with_labels(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (40, 16, 16), dtype=np.uint8), np.array(["cat", "dog"] * 20)
    for given, has in ((None, "has no labels"), (labels, "has cat, ...")):
        np.savez(tmp_path / "a.npz", images=images, **({} if given is None else {"labels": given}))  # type: ignore[arg-type]
        with pytest.raises(UserError, match=f"captions are of grey digits with labels 0 to 9: data set 'a' {has}"):
            load_dataset(DataSpec(str(tmp_path / "a.npz"), conditions="captions"))
    colour, zero = np.repeat(images[:, None], 3, 1), np.zeros(40, dtype=np.int64)
    coloured_ones = image_dataset("c", colour, zero, colour, zero, ("0",))
    with pytest.raises(UserError, match="is in colour"):
        captioned(coloured_ones, "captions")
