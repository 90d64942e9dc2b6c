"""Sentences as vectors, by what is learned from a text of the captions alone: one in which from each sentence to the
next one attribute changes, so that words and sentences are told by their surroundings.

one_hot       the values of the attributes, 0 or 1 each: nothing is learned
words         the mean of the vectors of a sentence's words, of the skip-gram with negative sampling: with n_ij pairs of
              word i and context j, and m negatives from p_j ~ n_j^.75, the least over w and c of
              -sum_ij n_ij log s(w_i c_j) - m sum_ij n_i p_j log s(-w_i c_j), the expectation of what is sampled there
                                                    Mikolov et al. 2013, arXiv:1310.4546
skip_thought  the last state of a GRU that reads a sentence, from which two others say the sentence before and the one
              after, word by word                   Kiros et al. 2015, arXiv:1506.06726

What is learned has mean 0 and variance 1 over all sentences, number by number, to three decimals. There they have 400
and 2,400 numbers, and vocabularies to match; here there are 26 words.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from evogan.data.cache import remembered
from evogan.data.captions import ATTRIBUTES, WORDS, sentence, sentences, words_of
from evogan.stable import derive_seed, digest

FORMAT = 1  # rises when the same captions would give other codes
SIZE = 32  # numbers of a code that is learned
TEXT = 4000  # sentences
WINDOW, NEGATIVES, ROUNDS = 10, 5, 400  # words to each side, more than a sentence has
BATCH, STEPS, RATE, CLIP, SPREAD = 64, 800, 1e-2, 5.0, 0.25
END = len(WORDS)  # of a sentence, as a word; the next number fills it up

Codes = npt.NDArray[np.float32]


def codes(kind: str) -> Codes:
    """Of all sentences, in their order: (900, K)."""
    known = {"codes": kind, "version": str(FORMAT), "sentences": digest(sentences())}
    found: Codes = remembered(known, lambda: {"codes": KINDS[kind]().float()})["codes"].numpy()
    return found.round(3)


def one_hot() -> Tensor:
    sizes = [len(words) for words in ATTRIBUTES.values()]
    values = torch.tensor(list(product(*map(range, sizes))))
    return torch.cat([functional.one_hot(own, n) for own, n in zip(values.T, sizes, strict=True)], 1)


def words() -> Tensor:
    vectors = word_vectors(pairs(tokens(text())))
    return standard(torch.stack([vectors[tokens([one])].mean(0) for one in sentences()]))


def skip_thought() -> Tensor:
    read = [padded([one]) for one in sentences()]
    network = trained(padded(text()))
    with torch.no_grad():
        return standard(network.encode(torch.nn.utils.rnn.pad_sequence([one[0] for one in read], True, END + 1)))


KINDS: dict[str, Callable[[], Tensor]] = {"one_hot": one_hot, "words": words, "skip_thought": skip_thought}


def standard(found: Tensor) -> Tensor:
    found = found - found.mean(0)
    return found / found.std(0, correction=0)


def text() -> list[str]:
    rng = np.random.default_rng(derive_seed("text of captions"))
    sizes = [len(words) for words in ATTRIBUTES.values()]
    now, found = [int(rng.integers(n)) for n in sizes], list[str]()
    for _ in range(TEXT):
        found.append(sentence(now))
        which = int(rng.integers(len(sizes)))
        now[which] = (now[which] + int(rng.integers(1, sizes[which]))) % sizes[which]
    return found


def tokens(said: list[str]) -> Tensor:
    """The numbers of the words, one sentence after another."""
    return torch.tensor([WORDS.index(word) for one in said for word in words_of(one)])


# --- the skip-gram


def pairs(text: Tensor) -> Tensor:
    """(V, V): how often a word is at most `WINDOW` words before or after another."""
    found = torch.zeros(len(WORDS), len(WORDS), dtype=torch.float64)
    for apart in range(1, WINDOW + 1):
        one = torch.ones(len(text) - apart, dtype=torch.float64)
        found.index_put_((text[:-apart], text[apart:]), one, accumulate=True)
    return found + found.T


def skip_gram_loss(pairs: Tensor, vectors: Tensor, contexts: Tensor) -> Tensor:
    """A pair, of counts (V, V) and vectors (V, K) twice."""
    count = pairs.sum(1)
    noise = count**0.75 / (count**0.75).sum()
    match = vectors @ contexts.T
    negatives = NEGATIVES * count[:, None] * noise
    return (pairs * functional.softplus(-match) + negatives * functional.softplus(match)).sum() / pairs.sum()


def word_vectors(pairs: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(derive_seed("word vectors"))
    start = (torch.rand(2, len(pairs), SIZE, generator=rng, dtype=torch.float64) - 0.5) / SIZE
    both = nn.Parameter(start)
    optimizer = torch.optim.Adam([both], lr=0.05)
    for _ in range(ROUNDS):
        optimizer.zero_grad()
        skip_gram_loss(pairs, *both).backward()
        optimizer.step()
    return both.detach()[0]


# --- skip-thought


def padded(said: list[str]) -> Tensor:
    """(N, longest + 1): numbers of words, and the end."""
    rows = [torch.cat([tokens([one]), torch.tensor([END])]) for one in said]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END + 1)


class SkipThought(nn.Module):
    """Sentences (N, T), filled up with END + 1."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(END + 2, SIZE)
        self.encoder = nn.GRU(SIZE, SIZE, batch_first=True)
        self.decoders = nn.ModuleList(nn.GRU(2 * SIZE, SIZE, batch_first=True) for _ in range(2))
        self.head = nn.Linear(SIZE, END + 1)

    def encode(self, said: Tensor) -> Tensor:
        """(N, SIZE): the state at the end of each."""
        states, _ = self.encoder(self.embedding(said))
        last = (said <= END).sum(1) - 1
        found: Tensor = states[torch.arange(len(said)), last]
        return found

    def loss(self, before: Tensor, said: Tensor, after: Tensor) -> Tensor:
        """Mean cross-entropy of the words of both neighbours, each given the words that precede it."""
        code, found = self.encode(said), []
        for decoder, other in zip(self.decoders, (before, after), strict=True):
            start = nn.functional.pad(other[:, :-1], (1, 0), value=END)
            given = torch.cat([self.embedding(start), code[:, None].expand(-1, other.shape[1], -1)], 2)
            logits = self.head(decoder(given)[0])
            found.append(functional.cross_entropy(logits.flatten(0, 1), other.flatten(), ignore_index=END + 1))
        return torch.stack(found).sum()


def trained(text: Tensor) -> SkipThought:
    rng = torch.Generator().manual_seed(derive_seed("skip-thought"))
    with torch.device("meta"):  # so that torch's own initialisation draws no random numbers
        network = SkipThought()
    network.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-SPREAD, SPREAD, generator=rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for _ in range(STEPS):
        at = torch.randint(1, len(text) - 1, (BATCH,), generator=rng)
        optimizer.zero_grad()
        network.loss(text[at - 1], text[at], text[at + 1]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
    return network
