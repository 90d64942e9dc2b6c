"""What `describe` says of a GAN's networks is what they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from evogan import api, shipped
from evogan.errors import UserError
from evogan.evaluation.architecture import Layer, architecture
from evogan.families import image_fields, sequence_fields
from evogan.families.build import count_parameters
from evogan.genes import GENES
from evogan.report import facts, tables

FIELDS = image_fields(16, 3, 10)
WIDE = ("filters", "critic_filters", "hidden", "critic_hidden", "patch_filters", "critic_units", "level_critic_filters")


@pytest.mark.parametrize("name", shipped.names("genomes"))
def test_the_layers_of_a_published_gan_are_all_that_it_has(name: str) -> None:
    published = shipped.read_genome(name).genome
    genome = {**published, **{gene: 8 for gene in WIDE if gene in GENES.complete(published)}}  # built in a moment
    writes = genome.get("family") == "sequences"
    fields = sequence_fields(20, 6) if writes else FIELDS
    players = {player.name: player for player in architecture(genome, fields)}
    assert {name: player.parameters for name, player in players.items()} == count_parameters(genome, fields)
    assert list(players)[:2] == ["generator", "critic"]
    shapes = [layer.shape for layer in players["generator"].layers]
    assert (20,) in shapes if writes else math.prod(shapes[-1]) == 3 * 16 * 16
    assert all(player.flops > 0 for player in players.values())


def test_dcgan_is_as_published() -> None:
    """Of 1511.06434 for 64x64: shapes of figure 1, and products counted by hand."""
    generator, _ = architecture(shipped.read_genome("dcgan").genome, image_fields(64, 3))
    assert [layer.shape for layer in generator.layers] == [
        (1024, 4, 4),
        (512, 8, 8),
        (256, 16, 16),
        (128, 32, 32),
        (3, 64, 64),
    ]
    second = generator.layers[1]
    assert second.what == "transposed convolution 4x4, stride 2, batch norm, ReLU"
    assert second.parameters == 1024 * 512 * 4 * 4 + 2 * 512
    assert second.flops == 2 * 1024 * 512 * 4 * 4 * 4 * 4


def test_stylegan_says_what_is_no_layer() -> None:
    generator, _ = architecture({**shipped.read_genome("stylegan").genome, "filters": 8}, FIELDS)
    assert generator.layers[0] == Layer("constant", "learned constant", (8, 4, 4), 8 * 4 * 4)
    unused = generator.layers[1]
    assert (unused.name, unused.what) == ("to_rgb", "not in use at the end")
    first = next(layer for layer in generator.layers if layer.name == "finishes.0")
    assert (first.what, first.shape) == ("noise, bias, leaky ReLU 0.2, style", (8, 4, 4))


def test_describe_reads_genes_and_says_what_does_not_fit() -> None:
    genes, (generator, critic) = api.describe("wdcgan", image_size=28, channels=1, change={"filters": 16})
    assert genes["filters"] == 16
    assert generator.layers[-1].shape == (1, 28, 28) and critic.layers[-1].shape == (1,)
    assert facts.about(genes) == "Plain GAN, backbone wdcgan, loss wasserstein, penalty clip"
    document = json.loads(json.dumps(tables.layers_document(generator)))
    assert sum(layer["parameters"] for layer in document["layers"]) == document["parameters"]
    for wrong in ({"image_size": 30}, {"channels": 0}, {"classes": -1}):
        with pytest.raises(UserError):
            api.describe("dcgan", **wrong)
    with pytest.raises(UserError, match="needs images with labels"):
        api.describe("cgan", classes=0)
    with pytest.raises(UserError, match="no file"):
        api.describe(Path("none.safetensors"))
