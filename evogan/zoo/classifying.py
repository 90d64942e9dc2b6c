"""Critics that tell classes apart, and the network of theirs that is judged.

logsumexp   K logits l of the last features; softmax(l) is of the classes, and the score is log sum_k exp(l_k). So
            sigmoid(score) = Z/(Z + 1), Z = sum_k exp(l_k): the chance of not being the (K+1)th class, "fake", whose
            logit is fixed at 0                                                    Salimans et al., arXiv:1606.03498
auxiliary   the score is the critic's own, the logits are a second head's, as in ACGAN       S2GAN-CO, arXiv:1903.02271
clusters    p(k|x) = softmax of cosines / T of the features, without gradient, with prototypes; p(y|x) = sum_k p(k|x)
            p(y|k) with a table p(y|k). Prototypes learn from the cross-entropy of p(k|x) with a balanced assignment of
            the batch to clusters, which Sinkhorn's algorithm finds                              SwAV, arXiv:2006.09882
turns       logits of by how many quarters an image was turned                               S3GAN, arXiv:1903.02271
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from evogan.zoo.critic import AroundCritic
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import ClassTable, precise
from evogan.zoo.number import Scalar, now

TURNS = 4
TEMPERATURE, SHARPNESS, ROUNDS = 0.1, 0.05, 3  # of cosines in p(k|x), and in Sinkhorn's algorithm
VOTES = 10.0  # how much faster than other weights the table of classes learns
STATISTICS = 0.99  # decay of batch norms' means and variances


class ClassifyingCritic(AroundCritic):
    """(N, C, H, W) -> `Critique` with classes (N, K). `own_head`: of the classes, beside that of the score; or else
    `critic` has K outputs. `probe`: the classes' head alone learns from what is said of them. `clusters`: the classes
    are those of as many; 0: linear. `turns`: it has a head for them.
    """

    def __init__(
        self,
        critic: Network,
        classes: int,
        *,
        own_head: bool = False,
        probe: bool = False,
        clusters: int = 0,
        turns: bool = False,
    ) -> None:
        super().__init__(critic)
        self._own_head, self._probe, self._clusters = own_head, probe, clusters > 0
        if clusters:
            self.prototypes = nn.Linear(self.head.in_features, clusters, bias=False)
            self.votes = ClassTable(clusters, classes)
        elif own_head:
            self.class_head = nn.Linear(self.head.in_features, classes)
        if turns:
            self.turn_head = nn.Linear(self.head.in_features, TURNS)

    def forward(self, x: Tensor, draws: Draws = (), *labels: Tensor) -> Critique:
        said: Critique = self.critic(x, draws, *labels)
        if self._clusters:
            votes = torch.softmax(VOTES * precise(self.votes.rows), 1)
            inside = torch.softmax(self.clustered(said), 1).detach()
            return said._replace(classes=(inside @ votes).log())
        if self._own_head or self._probe:
            reader = self.class_head if self._own_head else self.head
            logits = precise(reader(said.features.detach() if self._probe else said.features))
        else:
            logits = said.score
        score = said.score if self._own_head else torch.logsumexp(logits, 1)
        return Critique(score, said.features, logits)

    def clustered(self, said: Critique) -> Tensor:
        """(N, clusters): logits of the clusters of the images of which this was said; the features do not learn."""
        directions = normalize(precise(said.features.detach()))
        return precise(directions @ normalize(precise(self.prototypes.weight)).mT) / TEMPERATURE

    def turned(self, said: Critique) -> Tensor:
        """(N, 4): logits of how far the images were turned of which this was said."""
        return precise(self.turn_head(said.features))


def cluster_loss(logits: Tensor) -> Tensor:
    """Cross-entropy of cluster logits (N, k) with a balanced assignment of the N images to the k clusters."""
    return -(balanced(logits.detach()) * torch.log_softmax(logits, 1)).sum(1).mean()


def balanced(logits: Tensor) -> Tensor:
    """(N, k) -> shares (N, k) of each image in each cluster: each row sums up to 1, the columns to nearly the same."""
    logs = logits * (TEMPERATURE / SHARPNESS)
    for _ in range(ROUNDS):
        logs = torch.log_softmax(torch.log_softmax(logs, 0), 1)
    return logs.exp()


def draw_turns(n: int, rng: torch.Generator) -> Tensor:
    """(n,) of 0 to 3 quarters."""
    return torch.randint(TURNS, (n,), generator=rng, device=rng.device)


def turn(images: Tensor, quarters: Tensor) -> Tensor:
    """(N, C, H, H), each turned by its own of `quarters` (N,)."""
    every = torch.stack([images.rot90(k, (2, 3)) for k in range(TURNS)], 1)
    place = quarters[:, None, None, None, None].expand(-1, 1, *every.shape[2:])
    return every.gather(1, place).squeeze(1)


class Judged(nn.Module):
    """The network that classifies: a copy of one, or the moving average of its weights, with batch norms whose means
    and variances are those of many batches, so that what it says of an image depends on that image alone.

    Its weights w follow w' = d w' + (1 - d) w with d = min(decay, (1 + t)/(10 + t)) at step t, means and variances
    likewise with a decay of .99.
    """

    steps: Tensor

    def __init__(self, network: Network, decay: Scalar = 0.0) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self._decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))
        self.norms = [m for m in self.network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
        for norm in self.norms:
            norm.track_running_stats, norm.momentum = True, 1.0
            norm.running_mean = torch.zeros(norm.num_features)
            norm.running_var = torch.ones(norm.num_features)
            norm.num_batches_tracked = torch.zeros((), dtype=torch.long)

    def restart(self, network: nn.Module) -> None:
        """As if it had followed nothing yet."""
        self.network.load_state_dict(network.state_dict(), strict=False)
        self.steps.zero_()

    @torch.no_grad()
    def follow(self, network: nn.Module, look: Callable[[Network], object]) -> None:
        """Take one step towards the network as it is now. `look` shows a network a batch."""
        reach = (1 + self.steps) / (10 + self.steps)
        self.steps += 1
        share = 1 - reach.clamp(max=now(self._decay))
        for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.copy_(torch.lerp(mean, weight, share.to(weight.dtype)))
        own = dict(self.network.named_buffers())
        for name, buffer in network.named_buffers():
            own[name].copy_(buffer)
        if self.norms:
            found = (x for norm in self.norms for x in (norm.running_mean, norm.running_var))
            kept = [(x, x.clone()) for x in found if x is not None]
            look(self.network)
            for x, before in kept:
                x.copy_(torch.lerp(x, before, reach.clamp(max=STATISTICS).to(x.dtype)))

    def forward(self, images: Tensor, *labels: Tensor) -> Tensor:
        """Logits (N, K), of each image alone. `labels`: some, for a critic that is given any."""
        self.network.eval()
        logits: Tensor = self.network(self.network.present(images), (), *labels).classes
        self.network.train()
        return logits
