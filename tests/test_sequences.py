"""Sequences: the data and their exact truths, what judges them, and GANs that make them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load
from scipy import stats
from torch import Tensor, nn

import evogan
from evogan import api
from evogan.data import DataSpec, load_dataset
from evogan.data.captions import ATTRIBUTES, named, sentence, sentences, words_of
from evogan.data.oracle import Oracle
from evogan.data.sequences import SEQUENCES, grammar
from evogan.errors import UserError
from evogan.fitness.sequences import bleu, known, of_generator, of_samples
from evogan.genes import GENES
from evogan.report.written import written
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.shipped import read_genome
from evogan.space import Space
from evogan.training.rounds import Rounds
from evogan.trial import Choice, Trial
from evogan.zoo.recurrent import Cell
from evogan.zoo.rewards import centred, policy_gradient, returns
from evogan.zoo.writers import Form, Hidden, Writer, gumbel_noise


def test_a_sentence_and_its_attributes_are_the_same() -> None:
    made = sentences()
    assert len(made) == len(set(made)) == 900
    assert all(sentence([named(text)[name] for name in ATTRIBUTES]) == text for text in made)
    assert "a thick red seven, tilted left, on blue" in made and "a thin green three on black" in made
    assert words_of("a red, one") == ["a", "red", ",", "one"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a thin mauve three on black", "unknown word 'mauve'"),
        ("a thin red green three on black", "colour twice"),
        ("a thin blue three", "'blue' is a background, as in 'on blue'; backgrounds are black"),
        ("a thin three on white", "'white' is none; backgrounds are black"),
        (" ", "an empty text"),
    ],
)
def test_what_is_no_sentence_is_said(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        named(text)


# --- the data


def test_the_grammar_is_as_it_says() -> None:
    """Against a sum over all derivations, string by string."""
    found = grammar()
    assert len(found) == 1365 and sum(found.values()) == pytest.approx(1)

    @lru_cache
    def derived(string: str) -> float:
        """The probability that S becomes it."""
        split = (derived(string[:i]) * derived(string[i + 1 :]) / 8 for i in range(1, len(string), 2))
        return 0.5 if string == "x" else sum(split)

    total = sum(map(derived, found))
    assert all(derived(string) / total == pytest.approx(p) for string, p in found.items())
    truth = load_dataset(DataSpec("grammar")).language.truth  # type: ignore[union-attr]
    assert truth is not None and truth.entropy == pytest.approx(stats.entropy(list(found.values())))


def test_the_oracles_own_sequences_have_its_entropy() -> None:
    oracle = Oracle(3, 4)
    every = np.array(list(product(range(3), repeat=4)))
    logs = oracle.log_probability(every)
    assert np.exp(logs).sum() == pytest.approx(1)
    entropy = -float((np.exp(logs) * logs).sum())
    told = -oracle.log_probability(oracle.draw(20_000, np.random.default_rng(0)))
    assert told.mean() == pytest.approx(entropy, abs=4 * told.std() / 20_000**0.5)


@pytest.mark.parametrize("name", SEQUENCES)
def test_data_are_made_alike(name: str) -> None:
    spec = "oracle:20:5" if name == "oracle" else name
    one, again = (load_dataset(DataSpec(spec)) for _ in range(2))
    assert one.fingerprint == again.fingerprint and one.kinds == {"sequences"}
    assert one.fields["images"].values == len(one.language.tokens)  # type: ignore[union-attr]
    language = one.language
    assert language is not None
    texts = language.texts(one.images[:50])
    tokens = [list(text) if language.between == "" else text.split() for text in texts]
    assert (language.rows(tokens, one.image_size) == one.images[:50]).all()


def test_a_users_text_comes_back(tmp_path: Path) -> None:
    lines = [f"{a} like {b}" for a in ("cats", "dogs", "we") for b in ("tea", "rain", "you and me", "it")] * 5
    (tmp_path / "mine.txt").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    words, letters = (load_dataset(DataSpec(str(tmp_path / "mine.txt"), tokens=t)) for t in (None, "characters"))
    assert words.language is not None and letters.language is not None
    assert set(words.language.texts(words.images)) <= set(lines) and words.image_size == 5
    assert set(letters.language.texts(letters.images)) <= set(lines) and letters.image_size == 20
    assert words.fingerprint != letters.fingerprint and "59 empty lines left out" in words.describe()
    other = (tmp_path / "mine.txt").read_text().replace("rain", "hail")
    (tmp_path / "other.txt").write_text(other)
    assert load_dataset(DataSpec(str(tmp_path / "other.txt"))).fingerprint != words.fingerprint


def test_a_sorted_text_is_not_judged_by_its_first_lines(tmp_path: Path) -> None:
    """References of BLEU are the first of what is held out."""
    (tmp_path / "sorted.txt").write_text("\n".join(["a a"] * 5000 + ["b b"] * 5000))
    data = load_dataset(DataSpec(str(tmp_path / "sorted.txt")))
    assert 0.3 < (data.held_out[:200, 0] == data.held_out[0, 0]).mean() < 0.7


def test_a_line_ends_where_an_editor_ends_it(tmp_path: Path) -> None:
    """With a byte order mark, Windows' or old Macintoshs' ends; what Unicode parts lines by stays within."""
    lines = ["one\u2028two\x85three\x0bfour", "\N{FAMILY} and so on"] * 20
    found = {}
    for i, (mark, end) in enumerate(product(("", "\ufeff"), ("\n", "\r\n", "\r"))):
        (tmp_path / f"{i}.txt").write_bytes((mark + end.join(lines)).encode())
        data = load_dataset(DataSpec(str(tmp_path / f"{i}.txt"), tokens="characters"))
        assert data.language and set(data.language.texts(data.images)) == set(lines)
        found[data.fingerprint] = data.describe()
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "has 0 lines"),
        ("one line", "has 1 line with"),
        ("\n" * 50, "has 0 lines"),
        ("0.5, -1\n2.0 3e-4\n.5\t1.\n" * 20, r"two numbers a line.*\.npy.*--tokens characters"),
        ("one two\n" * 5, "at least 20"),
        ("same line\n" * 50, "equal"),
        ("a\n" * 50, "one token alone"),
        (b"\xff\xfe\x00" * 99, "no UTF-8 from line 1 on"),
        (b"fine\n" * 9 + "caf\xe9\n".encode("latin-1"), "no UTF-8 from line 10 on"),
    ],
)
def test_what_are_no_sequences_is_said(text: str | bytes, line: str, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=line):
        load_dataset(DataSpec(str(tmp_path / "bad.txt")))


@pytest.mark.parametrize("name", ["oracle:1:5", "oracle:5:x", "oracle:5:5:5", "grammar:3", "no.txt"])
def test_what_is_no_language_is_said(name: str) -> None:
    with pytest.raises(UserError, match="data set"):
        load_dataset(DataSpec(name))


# --- networks: p(y) as they write, and as they tell


def writer(form: Form, seed: int = 0, cell: str = "lstm", fills: bool = False) -> Writer:
    with torch.device("meta"):
        made = Writer(form, cell, 3, 4, fills)
    for parameter in made.to_empty(device="cpu").parameters():
        parameter.data.normal_(0, 0.8, generator=torch.Generator().manual_seed(seed + parameter.numel()))
    return made


def every(tokens: int, length: int) -> Tensor:
    return torch.tensor(list(product(range(tokens), repeat=length)))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_cells_are_torchs(cell: str) -> None:
    with torch.device("meta"):
        networks = Cell(cell, 3, 5), {"lstm": nn.LSTM, "gru": nn.GRU}[cell](3, 5, batch_first=True)
    ours, theirs = (network.to_empty(device="cpu") for network in networks)
    rng = torch.Generator().manual_seed(0)
    order = [0, 1, 3, 2] if cell == "lstm" else [0, 1, 2]  # torch's gates are i, f, g, o
    for name, parameter in theirs.named_parameters():
        parameter.data.normal_(generator=rng)
        own = ours.entry if "ih" in name else ours.recurrent
        place = own.weight if "weight" in name else own.bias
        if place is None:  # torch has two biases, of which one does
            parameter.data.zero_()
        else:
            place.data.copy_(torch.cat([parameter.data.chunk(len(order))[i] for i in order]))
    x = torch.randn(2, 6, 3, generator=rng)
    torch.testing.assert_close(ours.through(x), theirs(x)[0])


@pytest.mark.parametrize(("ends", "fills"), [(False, False), (True, False), (True, True)])
def test_a_writer_writes_what_it_says_it_does(ends: bool, fills: bool) -> None:
    made, all_of_them = writer(Form(3, 3, ends), fills=fills), every(3, 3)
    if ends:  # nothing follows an end
        over = (all_of_them[:, :-1] == 0) & (all_of_them[:, 1:] != 0)
        all_of_them = all_of_them[~over.any(1)]
    with torch.no_grad():
        p = made.log_probabilities(all_of_them).sum(1).exp()
        rows = made.write(torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))).tokens
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    counts = (rows[:, None] == all_of_them).all(2).float().sum(0)
    assert counts.sum() == 20_000
    assert stats.chisquare(counts.numpy(), (20_000 * p / p.sum()).numpy()).pvalue > 1e-3


def test_cold_gumbels_are_categorical_and_their_tokens_always_are() -> None:
    made = writer(Form(3, 2, False))
    noise = gumbel_noise(torch.rand(20_000, 2, 3, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        cold, warm = (made.relax(noise, "gumbel", tau) for tau in (0.01, 5.0))
        p = made.log_probabilities(torch.arange(3)[:, None].expand(3, 2))[:, 0].exp()
        hard = made.relax(noise, "straight_through", 1.0)
    assert cold.relaxed is not None and warm.relaxed is not None and hard.relaxed is not None
    share = cold.relaxed[:, 0, 0].mean(0)
    assert share.numpy() == pytest.approx(p.numpy(), abs=0.015)  # 4 standard deviations of 20,000 draws
    torch.testing.assert_close(hard.relaxed[:, 0].argmax(-1), hard.tokens)
    assert (hard.relaxed[:, 0].max(-1).values - 1).abs().max() < 1e-5
    sure = [float((relaxed.max(-1).values > 0.99).float().mean()) for relaxed in (cold.relaxed, warm.relaxed)]
    assert sure[0] > 0.9 > 0.1 > sure[1]


def test_what_is_given_stays_and_what_is_hidden_is_told_apart() -> None:
    made, rng = writer(Form(5, 6, False), fills=True), torch.Generator().manual_seed(0)
    tokens = torch.randint(5, (50, 6), generator=rng)
    where = (torch.rand(50, 6, generator=rng) < 0.5).float()
    u = torch.rand(50, 6, generator=rng)
    filled = made.write(u, Hidden(tokens, where)).tokens
    assert ((filled == tokens) | (where > 0)).all() and (filled != tokens).any()
    others = torch.where(where > 0, (tokens + 1) % 5, tokens)  # it does not look at what is hidden
    assert (made.write(u, Hidden(others, where)).tokens == filled).all()


# --- rewards


def reward(rows: Tensor) -> Tensor:
    """Of any sequence, at random."""
    place = (rows * 2 ** torch.arange(rows.shape[-1])).sum(-1)
    return torch.rand(2 ** rows.shape[-1], generator=torch.Generator().manual_seed(5))[place]


def values_of(made: Writer, rows: Tensor) -> Tensor:
    """Q_t of every sequence of two tokens: the mean of the reward over all endings, by their probabilities."""
    with torch.no_grad():
        p = made.log_probabilities(rows).sum(1).exp()
    found = torch.zeros(rows.shape)
    for t in range(1, rows.shape[1] + 1):
        alike = (rows[:, None, :t] == rows[None, :, :t]).all(2).float()
        found[:, t - 1] = (alike * p * reward(rows)).sum(1) / (alike * p).sum(1)
    return found


@pytest.mark.parametrize("baseline", [0.0, 0.3])
def test_the_policy_gradient_is_that_of_the_expected_reward(baseline: float) -> None:
    """Over all sequences of two tokens, against finite differences."""
    made, rows = writer(Form(2, 3, False)).double(), every(2, 3)

    def expected() -> float:
        with torch.no_grad():
            return float((made.log_probabilities(rows).sum(1).exp() * reward(rows)).sum())

    logs = made.log_probabilities(rows)
    p = logs.detach().sum(1).exp()
    advantages = values_of(made, rows) - baseline
    loss = torch.stack([w * policy_gradient(log[None], a[None]) for w, log, a in zip(p, logs, advantages, strict=True)])
    gradients = torch.autograd.grad(loss.sum(), list(made.parameters()))
    for parameter, gradient in zip(made.parameters(), gradients, strict=True):
        flat = parameter.data.view(-1)
        for i in range(0, len(flat), 7):
            kept, step = float(flat[i]), 1e-4
            ends = []
            for flat[i] in (kept + step, kept - step):
                ends.append(expected())
            flat[i] = kept
            assert -float(gradient.reshape(-1)[i]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-6)


def test_rollouts_are_worth_what_all_endings_are() -> None:
    made, rows, k = writer(Form(2, 4, False)), every(2, 4), 4000
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        begun = made.write(torch.rand(12, 4, generator=rng), states=True)
        ended = made.roll_out(begun, torch.rand(12, k, 3, 4, generator=rng))
    for t in range(1, 4):  # beginnings stay
        assert (ended[:, :, t - 1, :t] == begun.tokens[:, None, :t]).all()
    found, true = reward(ended).mean(1), values_of(made, rows)
    place = (begun.tokens[:, None] == rows).all(2).int().argmax(1)
    assert found.numpy() == pytest.approx(true[place][:, :3].numpy(), abs=4 * 0.5 / k**0.5)


def test_returns_are_sums_of_what_follows() -> None:
    rewards, chosen = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    assert returns(rewards, chosen, 0.5).tolist() == [[2.0, 2.0, 4.0]]
    values = torch.tensor([[1.0, 5.0], [3.0, 7.0], [8.0, 9.0]])
    assert centred(values, torch.ones(3, 2))[0].tolist() == [1 - 5.5, 5 - 8.0]


# --- judges


def test_perfect_samples_are_judged_so() -> None:
    data = load_dataset(DataSpec("grammar"))
    language = data.language
    assert language is not None and language.truth is not None
    own = of_samples(language, data.images)
    assert own["valid"] == 1 and own["distinct"] == pytest.approx(1, abs=0.1)
    one = of_samples(language, np.repeat(data.images[:1], 5000, 0))
    assert one["valid"] == 1 and one["distinct"] < 0.02
    assert of_samples(language, np.full((100, 12), 3))["valid"] == 0

    def itself(rows: Tensor) -> Tensor:
        return torch.tensor(np.log(language.truth.probabilities[language.truth.places(rows.numpy())]))  # type: ignore[union-attr]

    found = of_generator(language, data.held_out, itself, "cpu")
    assert found["exact_kl"] == pytest.approx(0, abs=1e-9)
    assert found["nll_test"] == pytest.approx(float(known(data).split("NLL of ")[1].split()[0]), rel=0.05)


def test_bleu_is_that_of_nltks_formula() -> None:
    """Brevity penalty and precisions by hand: 2 of 3 words, 1 of 2 pairs."""
    found = bleu("bleu", ["1 2 4"], ["1 2 3", "5 6 7"])
    assert found["bleu2"] == pytest.approx((2 / 3 * 1 / 2) ** 0.5, abs=1e-4)
    assert bleu("bleu", ["1 2 3 4 5 6"], ["1 2 3 4 5 6"])["bleu5"] == pytest.approx(1)


@given(st.lists(st.lists(st.sampled_from("12345"), min_size=1, max_size=7).map(" ".join), min_size=1, max_size=5))
def test_bleu_of_what_is_a_reference_is_1_however_short_it_is(texts: list[str]) -> None:
    """So is self-BLEU of samples that are all alike."""
    assert bleu("bleu", texts, texts) == pytest.approx({f"bleu{n}": 1.0 for n in (2, 3, 4, 5)})


# --- GANs


@pytest.mark.parametrize("name", ["maskgan", "softmax_gan"])
def test_a_published_one_trains_goes_on_and_is_sampled(name: str, tmp_path: Path) -> None:
    small = {"hidden": 8, "embedding": 8, "reader_size": 8, "reader_embedding": 8, "batch_size": 16}
    common = {"iterations": 4, "samples": 100, "change": small, "runs": tmp_path}
    evaluation, folder = evogan.train(name, "captions", page=True, score="last", **common)  # type: ignore[arg-type]
    assert evaluation.status == "completed", evaluation.reason
    page = (folder / "train.html").read_text()
    assert "None" not in page and f"{evaluation.metric('exact_kl'):.4g}" in page
    assert math.isfinite(evaluation.metric("exact_kl")) and evaluation.metric("fid") is None
    found = evogan.load(folder / "generator.safetensors")
    texts = found.sample(20, seed=1)
    assert texts == evogan.load(folder / "generator.safetensors").sample(20, seed=1) and len(set(texts)) > 1
    assert (folder / "samples.txt").read_text().count("\n") == 100
    told = api.evaluate(folder / "generator.safetensors", "captions", samples=100, runs=tmp_path)
    assert told["valid"] <= 1 and "nll_test" in told
    with pytest.raises(UserError, match="no latents"):
        found.interpolate()
    with pytest.raises(UserError, match="sequences"):
        api.evaluate(folder / "generator.safetensors", "digits", samples=100, runs=tmp_path)


def test_a_card_says_what_a_text_was_read_as(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a bc d\nb cd a\n" * 20)
    small = {"hidden": 8, "embedding": 8, "reader_size": 8, "reader_embedding": 8, "batch_size": 16}
    common = {"iterations": 2, "samples": 20, "change": small, "runs": tmp_path, "tokens": "characters"}
    _, folder = evogan.train("mle_lstm", tmp_path / "mine.txt", **common)  # type: ignore[arg-type]
    card = api.model_card(folder / "generator.safetensors", "mine", runs=tmp_path)
    assert "--data mine --tokens characters --iterations 2" in card


def test_likelihood_comes_first_and_a_budget_of_updates_counts_all() -> None:
    rounds = Rounds([("critic", 3), ("generator", 1)], "critic", {"likelihood_share": 0.5}, 10)
    assert [rounds.program(i).count("generator") for i in range(10)] == [3] * 5 + [1] * 5
    assert [rounds.program(i).count("critic") for i in range(10)] == [0] * 5 + [3] * 5
    for asked in (7, 20, 300):
        total = rounds.nearest("generator", asked)
        made = [
            Rounds([("critic", 3), ("generator", 1)], "critic", {"likelihood_share": 0.5}, n).steps("generator", n)
            for n in (total - 1, total)
        ]
        assert made[0] < asked <= made[1]


@pytest.mark.parametrize(
    ("genes", "line"),
    [
        ({"loss": "began"}, "no autoencoder"),
        ({"token_gradient": "actor_critic"}, "reader = rnn"),
        ({"loss": "hinge", "relativistic": "pairs"}, "a sequence alone"),
        ({"token_gradient": "rollouts", "mask_rate": 0.5}, "applies only when"),
        ({"backbone": "mlp"}, "applies only when"),
        ({"minibatch": "std"}, "applies only when"),
    ],
)
def test_what_makes_no_sense_is_one_line(genes: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=line):
        GENES.read({"family": "sequences", "critic_constraint": "none", **genes})


def test_data_and_family_are_held_together(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has sequences: family = sequences"):
        evogan.train("wdcgan", "grammar", kimg=0.1, runs=tmp_path)
    with pytest.raises(UserError, match="needs sequences, which data set 'digits'"):
        evogan.train("seqgan", "digits", kimg=0.1, runs=tmp_path)
    for metric, data, line in (
        ("fid", "grammar", "judges images"),
        ("nll_oracle", "grammar", "an oracle"),
        ("exact_kl", "oracle:20:5", "a language that is known"),
    ):
        with pytest.raises(UserError, match=line):
            evogan.search("sequences", data, fitness=metric, evaluations=1, runs=tmp_path, name=metric)
    assert GANProblem(GANSettings.of(data="oracle:20:5")).natural == "nll_oracle"


SMALL = {"hidden": 8, "embedding": 8, "reader_size": 8, "reader_embedding": 8, "batch_size": 16, "rollouts": 2}


@pytest.mark.parametrize("fidelity", [0.3, 0.75])
def test_it_goes_on_as_if_it_had_not_stopped(fidelity: float) -> None:
    """In the share of likelihood, and in the game."""
    task, evaluate = GANProblem(GANSettings(data="grammar", kimg=0.5, samples=100)).prepare()
    task = replace(task, checkpoints=(1.0,))
    genome = GENES.read({**read_genome("seqgan").genome, **SMALL, "critic_steps": 2, "reader_widths": 2})
    choice = Choice(("exact_kl",))

    def trial(share: float, **more: Any) -> Trial:
        return Trial(genome, GENES.key(genome), task, share, choice=choice, **more)

    begun = evaluate(trial(fidelity))
    gone_on, straight = evaluate(trial(1.0, earlier=begun)), evaluate(trial(1.0))
    assert gone_on.provenance["continued_from"] == fidelity
    one, other = (load(evaluation.files["generator.safetensors"]) for evaluation in (gone_on, straight))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert gone_on.cost["flops"] + begun.cost["flops"] == pytest.approx(straight.cost["flops"])
    assert {"likelihood"} <= straight.curve[0].keys() and {"generator", "reward"} <= straight.curve[-1].keys()


def test_a_search_stands_beside_likelihood_alone(tmp_path: Path) -> None:
    """At its temperatures, in the report, too."""
    whole = evogan.load_space("sequences")
    fixed: dict[str, Any] = {
        **whole.fixed,
        **SMALL,
        "token_gradient": "rollouts",
        "reader": "cnn",
        "likelihood_share": 0.5,
    }
    free = [gene for gene in whole.genes if gene.name in ("temperature", "learning_rate", "reader_widths")]
    space = Space("small", free, fixed=fixed, table=GENES, reference=[])
    common = {"kimg": 0.3, "samples": 100, "confirm": 1, "replicates": 1, "workers": 1, "runs": tmp_path}
    run = evogan.search(space, "captions", evaluations=1, name="s", **common)  # type: ignore[arg-type]
    rows = [row.name for row in written(run)]
    assert run.settings.fitness == "exact_kl" and rows[0].startswith("evolved")
    assert [row.removeprefix(rows[0]) for row in rows[1:]] == [
        ", by likelihood alone",
        *(f", by likelihood alone, temperature {t}" for t in ("0.9", "0.8", "0.7", "0.6")),
    ]
    page = run.report().read_text()
    assert "What is written" in page and rows[1] in page
    assert isinstance(run.load_best().sample(3)[0], str)
