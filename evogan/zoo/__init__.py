"""The parts that GANs are made of. Pure torch: losses, penalties, weights, memories and averages take plain arguments.

They serve any networks. A critic and a generator of one's own, with a relativistic hinge loss, a gradient penalty, a
spectral norm and an average to sample from:

>>> import torch
>>> from torch import nn
>>> from evogan.zoo.average import MovingAverage
>>> from evogan.zoo.losses import Adversarial, hinge
>>> from evogan.zoo.penalties import input_gradient_norms
>>> from evogan.zoo.weights import Weights
>>> rng = torch.Generator().manual_seed(0)
>>> with torch.device("meta"):  # where a layer draws no weights from the global generator
...     networks = nn.Linear(2, 1), nn.Linear(3, 2)
>>> critic, generator = (network.to_empty(device="cpu") for network in networks)
>>> for parameter in (*critic.parameters(), *generator.parameters()):
...     _ = parameter.data.normal_(generator=rng)
>>> held = Weights(critic, rng, constraint="spectral_norm")
>>> average = MovingAverage(generator, 0.99)
>>> loss = Adversarial(hinge(), relativistic="average")
>>> optimizer = torch.optim.Adam(generator.parameters(), lr=0.01)
>>> real, z = torch.randn(16, 2, generator=rng) + 3, torch.randn(16, 3, generator=rng)
>>> for step in range(300):
...     terms = loss.generator(critic(generator(z)).squeeze(1), critic(real).squeeze(1).detach())
...     optimizer.zero_grad()
...     terms["generator"].backward()
...     optimizer.step()
...     held.after_step()
...     average.follow(generator)
>>> bool(critic(average.network(z)).mean() > critic(real).mean())  # it makes what this critic takes for real
True
>>> norms = input_gradient_norms(lambda x: critic(x).squeeze(1), real)
>>> bool((norms < 1.01).all())  # of a critic that is held to slope 1
True

`from_genes` says what the genes of a phenotype are as such arguments.
"""

from evogan.zoo.gan import GAN, Batch

__all__ = ["GAN", "Batch"]
