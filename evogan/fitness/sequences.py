"""How good sequences are, and the generator of them. Logarithms are natural.

    nll_oracle    -log p of samples by the oracle, a token (SeqGAN, arXiv:1609.05473). A generator of one probable
                  sequence has the least: it says nothing of variety
    nll_test      -log p of held-out sequences by the generator, a token that was to be chosen
    exact_kl      sum_s p(s) log(p(s) / q(s)) over all strings s of the language, q by the generator
    valid         share of samples that are strings of the language
    distinct      different strings among n samples, over the sum of 1 - (1 - p(s))^n, as many as n exact draws have
    bleu          mean BLEU of 200 samples (Papineni et al., ACL 2002), orders 1 to n, against 500 held-out sequences
    self_bleu     the same against 500 other samples: how alike they are (Zhu et al., arXiv:1802.01886)

BLEU is sacrebleu's, with 0.1 in the place of a count of 0. It rises with likeness, and so does self-BLEU with sameness:
the one says nothing without the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.language import Language
from evogan.errors import UserError
from evogan.fitness.features import Features
from evogan.fitness.scorer import NonFiniteSamples, Scorer

ORDERS = (2, 3, 4, 5)  # of BLEU
BLEUS = frozenset(f"{which}{n}" for which in ("bleu", "self_bleu") for n in ORDERS)
COMPARED, REFERENCES = 200, 500  # samples, and what they are compared with
AT_ONCE = 1000  # rows whose probability is told

Rows = npt.NDArray[Any]  # tokens (N, T)
LogProbability = Callable[[Tensor], Tensor]  # rows (N, T) -> (N,)


class TokenFeatures(Features):
    """The tokens themselves: nothing is made of them."""

    name, bounded = "tokens", False

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self._known = known(dataset)

    @property
    def id(self) -> str:
        return self.name

    def describe(self) -> str:
        return self._known


class SequenceScorer(Scorer):
    """By the language that they are of."""

    def __init__(self, dataset: Dataset, features: Features, samples: int = 5000) -> None:
        assert dataset.language is not None
        self.features, self.samples, self.lacks = features, samples, frozenset()
        self._language = dataset.language
        self._held_out = np.asarray(dataset.held_out[:REFERENCES])

    def score(self, samples: Iterable[Tensor | tuple[Tensor, Tensor]], dear: bool = True) -> dict[str, float]:
        """What samples alone tell, of tokens (n, T) in batches of any size; `dear`: BLEU, too, where it is installed.

        Raises ValueError unless there are `samples` in all.
        """
        rows = torch.cat([part[0] if isinstance(part, tuple) else part for part in samples]).cpu().numpy()
        if len(rows) != self.samples:
            raise ValueError(f"scores are of {self.samples} sequences, not {len(rows)}")
        found = of_samples(self._language, rows)
        if dear and has_bleu() and len(rows) > 1:
            compared, others = rows[:COMPARED], rows[-REFERENCES:]
            if len(rows) < COMPARED + REFERENCES:  # none is compared with itself
                compared, others = rows[: len(rows) // 2], rows[len(rows) // 2 :]
            ours, theirs, again = (self._language.numbers(part) for part in (compared, self._held_out, others))
            found |= bleu("bleu", ours, theirs) | bleu("self_bleu", ours, again)
        return found

    def test_error(self, images: Tensor, labels: Tensor) -> float | None:
        return None


def known(dataset: Dataset) -> str:
    """A line: what the best can reach."""
    language = dataset.language
    assert language is not None
    if language.oracle:
        best = of_samples(language, dataset.held_out)["nll_oracle"]
        return (
            f"the oracle: its own sequences have an NLL of {best:.4g} a token, any other of ln {len(language.tokens)}"
        )
    if language.truth:
        tokens = float((language.lengths(language.truth.rows) * language.truth.probabilities).sum())
        return (
            f"all {len(language.truth.rows):,} strings: the language itself has an NLL of "
            f"{language.truth.entropy / tokens:.4g} a token, and KL 0"
        )
    return "their likelihood, and n-grams"


def of_samples(language: Language, rows: Rows) -> dict[str, float]:
    if language.oracle:
        return {"nll_oracle": -float(language.oracle.log_probability(rows).sum()) / rows.size}
    if not language.truth:
        return {}
    places = language.truth.places(rows)
    there = places[places >= 0]
    expected = float((1 - (1 - language.truth.probabilities) ** len(rows)).sum())
    return {"valid": len(there) / len(rows), "distinct": len(np.unique(there)) / expected}


def of_generator(language: Language, held_out: Rows, log_probability: LogProbability, device: str) -> dict[str, float]:
    """What the generator's own probabilities tell. Raises NonFiniteSamples where these are none."""

    def told(rows: Rows) -> npt.NDArray[np.float64]:
        whole = torch.from_numpy(np.ascontiguousarray(rows)).to(device).long()
        logs = torch.cat([log_probability(part) for part in whole.split(AT_ONCE)]).double()
        if not logs.isfinite().all():
            raise NonFiniteSamples("the generator's probabilities are not finite")
        found: npt.NDArray[np.float64] = logs.cpu().numpy()
        return found

    found = {"nll_test": -float(told(held_out).sum()) / float(language.lengths(held_out).sum())}
    if language.truth:
        p = language.truth.probabilities
        found["exact_kl"] = float((p * (np.log(p) - told(language.truth.rows))).sum())
    return found


def bleu(name: str, texts: list[str], references: list[str]) -> dict[str, float]:
    """In [0, 1], of orders 2 to 5, of texts whose tokens are parted by spaces; 1 of a text that is a reference.

    A text has no n-grams longer than itself: the orders that it has are those that count (sacrebleu's effective order).
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(
        tokenize="none",
        max_ngram_order=max(ORDERS),
        smooth_method="floor",
        references=[[text] for text in references],  # of one segment, whose n-grams are counted once
    )
    scores = [metric.corpus_score([text], None) for text in texts]
    return {
        f"{name}{n}": float(
            np.mean(
                [
                    BLEU.compute_bleu(s.counts[:n], s.totals[:n], s.sys_len, s.ref_len, "floor", None, True, n).score
                    for s in scores
                ]
            )
        )
        / 100
        for n in ORDERS
    }


def has_bleu() -> bool:
    from importlib.util import find_spec

    return find_spec("sacrebleu") is not None


def check_bleu() -> None:
    """Errors: UserError where it is not installed."""
    if not has_bleu():
        raise UserError("BLEU needs sacrebleu: pip install 'evogan[sequences]'")
