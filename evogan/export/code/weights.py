"""A trained generator's weights under the names that its file of code has for them.

Both networks have the same layers in the same order, so tensors are matched one by one: of layers, what else is
learned, and statistics. Weights are as they are used, divided by spectral norms and scaled by equalised rates, so that
the file's `Generator` needs none of these. They are given only if it makes evogan's images of them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evogan.errors import UserError
from evogan.export.code.compare import as_module
from evogan.export.code.write import Wanted, write_code
from evogan.families.plain.model import LATENT
from evogan.zoo.gan import GAN, Prompt

CLOSE = 1e-4  # that pixels in [-1, 1] may be apart
BESIDE = ("level", "mean_style", "stacked")  # what evogan's networks hold, and the code says in other ways or has not
ALONE = ": --no-weights writes the code alone"
Tensors = dict[str, Tensor]


def weights(wanted: Wanted, gan: GAN, prompt: Prompt) -> Tensors:
    """What the code's `Generator` loads to make the images of `gan`, which are compared for this prompt.

    Errors: UserError if it makes others.
    """
    code = write_code(replace(wanted, name="gan", title="GAN", source="", command=""))  # runs with no one's words in it
    with torch.random.fork_rng(devices=[]):  # layers draw weights of their own, which are replaced
        generator = as_module(code).Generator()
    try:
        state = _matched(generator, gan.sampler)
        generator.load_state_dict(state)
    except (ValueError, RuntimeError):
        raise UserError(f"the code's generator has not the weights of evogan's{ALONE}") from None
    given = prompt[LATENT], *(prompt[name] for name in gan.prompted)
    with torch.no_grad():
        apart = float((generator.eval()(*given).clamp(-1, 1) - gan.sample(prompt)).abs().max())
    if not apart <= CLOSE:
        raise UserError(f"the code makes other images of these weights than evogan, up to {apart:.2g} apart{ALONE}")
    return state


def _matched(ours: nn.Module, theirs: nn.Module) -> Tensors:
    """The tensors of `theirs` by the names of `ours`. Errors: ValueError where one has more."""
    pairs = [zip(our, their.values(), strict=True) for our, their in zip(_kinds(ours), _kinds(theirs), strict=True)]
    return {name: tensor.detach().clone() for name, tensor in chain.from_iterable(pairs)}


def _kinds(network: nn.Module) -> tuple[Tensors, Tensors, Tensors]:
    """Those of its layers, others that are learned, and what samples use besides."""
    layers: Tensors = {}
    others: Tensors = {}
    kept: Tensors = {}
    for name, module in network.named_modules():
        if "parametrizations" in name.split("."):
            continue
        own = dict(module.named_parameters(name, recurse=False))
        if parametrize.is_parametrized(module):
            own = {f"{name}.weight": module.weight, **own}
        (layers if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) else others).update(own)
        kept |= module.named_buffers(name, recurse=False)
    return layers, others, {name: x for name, x in kept.items() if name.rpartition(".")[2] not in BESIDE}
