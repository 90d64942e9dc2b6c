"""Sequences of tokens, which have no gradient: SeqGAN, MaskGAN, Gumbel-softmax; and maximum likelihood alone."""

from __future__ import annotations

from evogan.families.family import Family
from evogan.families.plain.family import PLAIN
from evogan.families.shared.losses import AUTOENCODING, OF_SCORES
from evogan.families.shared.penalties import OF_JACOBIANS, PENALTIES
from evogan.families.shared.schedule import OF_TURNS
from evogan.genome import Conflict
from evogan.genome.define import choice, number

SEQGAN = "SeqGAN, arXiv:1609.05473"
MASKGAN = "MaskGAN, arXiv:1801.07736"
GUMBEL = "arXiv:1611.01144, arXiv:1611.04051"
REWARDED, RELAXED = ("rollouts", "actor_critic"), ("straight_through", "gumbel", "softmax")
TO_THE_END = "the reward of what is not written to the end yet is that of its rollouts: token_scores = False"

GENES = (
    choice("rnn", ("lstm", "gru"), "lstm", "of the generator, and of a recurrent critic", SEQGAN),
    number("embedding", 2, 1024, 32, "size of the generator's embedding of a token", SEQGAN, log=True),
    number("hidden", 2, 2048, 32, "size of its cell", SEQGAN, log=True),
    choice(
        "reader",
        ("cnn", "rnn"),
        "cnn",
        "the critic: convolutions over the tokens, the largest of all places counts; or a recurrent cell",
        f"cnn {SEQGAN}; rnn {MASKGAN}",
    ),
    number("reader_embedding", 2, 1024, 64, "size of the critic's embedding of a token", SEQGAN, log=True),
    number("reader_size", 2, 2048, 64, "its filters of each width, or the size of its cell", SEQGAN, log=True),
    number("reader_widths", 1, 20, 4, "widths of its convolutions: 1 to this", SEQGAN, reader="cnn"),
    number("highways", 0, 4, 1, "its highway layers", SEQGAN, reader="cnn"),
    number("reader_dropout", 0.0, 0.9, 0.25, "share of its last features that is dropped", SEQGAN, acts="input"),
    choice(
        "token_scores",
        (False, True),
        False,
        "whether it has a score for each token, or one for all",
        MASKGAN,
        reader="rnn",
    ),
    choice(
        "token_gradient",
        (*REWARDED, *RELAXED),
        "rollouts",
        "how the generator learns from the critic: by rewards of tokens, which are those of what may follow "
        "(rollouts), or are said of each (actor_critic); or by a gradient through tokens that are relaxed: one-hot "
        "forward and soft backward, soft, or the probabilities themselves, which no real token looks like",
        f"rollouts {SEQGAN}; actor_critic {MASKGAN}; straight_through, gumbel {GUMBEL}",
    ),
    number("rollouts", 1, 64, 16, "endings of each beginning", SEQGAN, token_gradient="rollouts"),
    choice(
        "reward",
        ("probability", "log_probability", "score"),
        "probability",
        "of the critic's score s: sigmoid(s), its logarithm, or s",
        f"probability {SEQGAN}; log_probability {MASKGAN}",
        token_gradient=REWARDED,
    ),
    choice(
        "reward_baseline",
        ("none", "mean"),
        "none",
        "whether a token's reward counts less the mean of the others at its place",
        "Williams, Machine Learning 8 (1992)",
        token_gradient="rollouts",
    ),
    number(
        "reward_discount",
        0.0,
        1.0,
        0.9,
        "of the next token's reward",
        MASKGAN,
        token_gradient="actor_critic",
        acts="input",
    ),
    number(
        "relaxation",
        0.01,
        100.0,
        1.0,
        "temperature of soft tokens at first",
        GUMBEL,
        log=True,
        token_gradient=RELAXED,
        acts="input",
    ),
    number(
        "relaxation_last",
        0.01,
        100.0,
        1.0,
        "and at the end: it falls, or rises, by the same factor in each iteration",
        GUMBEL,
        log=True,
        token_gradient=RELAXED,
        acts="input",
    ),
    number(
        "mask_rate",
        0.0,
        1.0,
        0.0,
        "share of the tokens, all in a row, that a generator fills in which is told the others; of every second "
        "sequence all, as samples are; 0 = it writes from the beginning",
        MASKGAN,
        token_gradient=("actor_critic", *RELAXED),
    ),
    number(
        "likelihood_share",
        0.0,
        1.0,
        0.0,
        "share of the budget at first in which the generator learns by maximum likelihood, and the critic does not; 1: "
        "there is no game",
        SEQGAN,
        acts="input",
    ),
    number(
        "likelihood_weight",
        0.0,
        100.0,
        0.0,
        "weight of the same in the game",
        "Li et al., arXiv:1701.06547 (teacher forcing)",
        acts="input",
    ),
    number(
        "game_rate",
        1e-4,
        10.0,
        1.0,
        "the generator's learning rate in the game, over that before",
        SEQGAN,
        log=True,
        acts="input",
    ),
    number(
        "temperature",
        0.05,
        5.0,
        1.0,
        "of samples: below 1 they are more probable, and less varied",
        "Caccia et al., arXiv:1811.02549",
        log=True,
        acts="input",
    ),
)

# of the plain GAN: what is not of images, nor of latents
KEPT = frozenset(
    {
        *("equalized_lr", "init", "init_std"),
        *(*OF_SCORES, *OF_TURNS, "instance_noise", "input_noise"),
        *(gene.name for gene in PENALTIES),
    }
) - {"minibatch", *OF_JACOBIANS}

CONFLICTS = (
    Conflict({"reader": ("cnn", "rnn"), "loss": AUTOENCODING}, "a critic of sequences is no autoencoder"),
    Conflict({"token_gradient": ("actor_critic",), "reader": ("cnn",)}, "it says a reward of each token: reader = rnn"),
    Conflict(
        {"token_gradient": ("actor_critic",), "token_scores": (False,)},
        "it says a reward of each token: token_scores = True",
    ),
    Conflict({"token_gradient": ("rollouts",), "token_scores": (True,)}, TO_THE_END),
    Conflict(
        {"token_gradient": REWARDED, "relativistic": ("pairs", "average")},
        "a reward is of a sequence alone: relativistic = none",
    ),
    Conflict(
        {"token_scores": (True,), "relativistic": ("pairs", "average")},
        "tokens of a real and a fake are no pairs: relativistic = none",
    ),
)


SEQUENCES = Family(
    name="sequences",
    title="Sequences of tokens",
    source="Yu et al., arXiv:1609.05473",
    players=PLAIN.players,
    counted="critic",
    needs=frozenset({"sequences"}),
    genes=(*(gene for gene in PLAIN.genes if gene.name in KEPT), *GENES),
    conflicts=CONFLICTS,
    measures=("nll_test", "nll_oracle", "exact_kl"),
    model="evogan.families.sequences.model",
    twin=lambda genes: {"likelihood_share": 1.0, "temperature": 1.0},
)
