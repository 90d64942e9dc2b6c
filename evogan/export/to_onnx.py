"""A trained generator as an ONNX file: what samples are made from goes in by name, images come out.

    latent           (N, size), whatever the prior of the GAN gives
    labels           (N,), of a conditional one the classes, from 0; or conditions (N, K), as vectors
    category, ...    (N, size), of a GAN with codes their parts; a category is one-hot
    sources          (N, C, H, H) in [-1, 1], of one that makes images from images
    ->  images       (N, C, H, W) in [-1, 1]

N is whatever it is when the file is used. The file is kept only if onnxruntime makes of it the images that torch makes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from evogan.errors import UserError, one_line
from evogan.evaluation.checkpoint import Generator
from evogan.evaluation.translations import SOURCES
from evogan.files import write_whole
from evogan.zoo.backbones.progressive import Growth
from evogan.zoo.gan import GAN, Crosses, Translates

CLOSE = 1e-4  # that pixels in [-1, 1] may be apart
CHECKED = (3, 5)  # sizes of the batches that are compared; the first is what the network is read off with
NEEDED = ("onnx", "onnxscript", "onnxruntime")
LABELS = "labels"


class Sampler(nn.Module):
    """A GAN's samples as the forward pass of a module: positional inputs, by these names."""

    def __init__(self, gan: GAN, names: Sequence[str]) -> None:
        super().__init__()
        self.sampler = gan.sampler.eval()
        self._gan, self._names = gan, tuple(names)
        for module in gan.sampler.modules():
            if isinstance(module, Growth):
                module.settle()

    def forward(self, *inputs: Tensor) -> Tensor:
        if self._names == (SOURCES,):
            assert isinstance(self._gan, Translates)
            return self._gan.translate(*inputs)
        return self._gan.sample(dict(zip(self._names, inputs, strict=True)))


def check_installed() -> None:
    """Errors: UserError if a package that this needs is not there."""
    import importlib

    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(f"{name} is not installed: pip install 'evogan[onnx]'") from None


def export_onnx(generator: Generator, path: Path) -> dict[str, tuple[int, ...]]:
    """Write the file; its inputs, and the shape of a row of each.

    Errors: UserError if it is no network that ONNX can say, and if its images are others than torch's.
    """
    check_installed()
    if generator.language is not None:
        raise UserError("no ONNX is written for generators of sequences, which draw token by token")
    given = inputs_of(generator, CHECKED[0])
    sampler = Sampler(generator.gan, list(given))
    content = _converted(sampler, given)
    _check_same(content, generator, sampler)
    write_whole(path, content)
    return {name: tuple(x.shape[1:]) for name, x in given.items()}


def inputs_of(generator: Generator, n: int) -> dict[str, Tensor]:
    """What n images can be made from. Errors: UserError for a GAN between domains."""
    gan = generator.gan
    if isinstance(gan, Crosses):
        raise UserError("no ONNX file is written for GANs between domains, which have a network a direction")
    if isinstance(gan, Translates):
        shape = tuple(generator.facts[SOURCES])
        return {SOURCES: torch.rand((n, *shape), generator=torch.Generator().manual_seed(n)) * 2 - 1}
    return dict(generator.prompt(n, seed=n))


def _converted(sampler: Sampler, given: dict[str, Tensor]) -> bytes:
    batch = torch.export.Dim("N", min=1)
    with _quiet():
        try:
            program = torch.onnx.export(
                sampler,
                tuple(given.values()),
                dynamo=True,
                input_names=list(given),
                output_names=["images"],
                dynamic_shapes=(tuple({0: batch} for _ in given),),
                verbose=False,
            )
            assert program is not None
            content: bytes = program.model_proto.SerializeToString()
        except Exception as error:  # of a network that it cannot follow, of any kind
            raise UserError(f"ONNX cannot say this network: {one_line(str(error))[:300]}") from None
    return content


def _check_same(content: bytes, generator: Generator, sampler: Sampler) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for n in CHECKED:
        given = inputs_of(generator, n)
        (made,) = session.run(["images"], {name: x.numpy() for name, x in given.items()})
        with torch.no_grad():
            apart = float((torch.from_numpy(made) - sampler(*given.values())).abs().max())
        if not apart <= CLOSE:
            raise UserError(f"ONNX makes other images than torch, up to {apart:.2g} apart: nothing is written")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter says to its developers is not shown."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "onnx_ir")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
