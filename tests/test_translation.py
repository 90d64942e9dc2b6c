"""Images from images: losses against their formulas, pairs that stay pairs, judges against torchmetrics."""

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import conv2d, interpolate, l1_loss, mse_loss, softplus
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

import evogan
from evogan import Gene, Space, UserError, cli
from evogan.cli.translating import _files
from evogan.data import DataSpec, load_dataset
from evogan.evaluation.translations import baselines, copied
from evogan.families import Field
from evogan.families.build import build, check, count_parameters, impossible
from evogan.families.translation.model import TranslationGAN
from evogan.fitness import load_features
from evogan.fitness.likeness import likeness
from evogan.genes import GENES
from evogan.genes.twins import twin_of
from evogan.genome import Genome
from evogan.report.translated import translated
from evogan.shipped import read_genome
from evogan.zoo.gan import Batch, LooksThrough, Translates
from tests.draws import rng

FIELDS = {"images": Field((3, 8, 8)), "sources": Field((1, 4, 4))}
SMALL: dict[str, Any] = {
    "family": "translation",
    "filters": 4,
    "patch_filters": 4,
    "patch_layers": 1,
    "critic_constraint": "none",
    "loss": "non_saturating",
    "batch_size": 6,
}


def made(**genes: Any) -> TranslationGAN:
    gan = build({**SMALL, **genes}, FIELDS, seed=1)
    assert isinstance(gan, TranslationGAN) and isinstance(gan, Translates)
    for network in gan.networks.values():
        network.double()
    return gan


def batch_of(gan: TranslationGAN, player: str) -> Batch:
    data = {name: 2 * torch.rand(6, *field.shape, generator=rng(2)) - 1 for name, field in FIELDS.items()}
    return gan.draw(player, 6, data, rng(3)).map(lambda x: x.double())


def value(gan: TranslationGAN, player: str, batch: Batch) -> float:
    return float(gan.loss(player, batch).total().detach())


@pytest.mark.parametrize("sees", [True, False])
@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("patch_norm", ["none", "batch"])
def test_losses_are_those_of_the_formula(sees: bool, norm: str, patch_norm: str) -> None:
    weights = {"adversarial": 0.7, "pixel_loss": 3.0, "critic_feature_loss": 0.5}
    gan = made(patch_sees_source=sees, pixel_norm=norm, patch_norm=patch_norm, latent_planes=2, **weights)
    critic, generator = gan.players["critic"], gan.players["generator"]
    for player in ("critic", "generator"):
        batch = batch_of(gan, player)
        x, s = batch.data["images"], batch.data["sources"]
        fake = generator(*batch.draws["latent"], batch.draws["generator"], s)

        def said(image: torch.Tensor, s: torch.Tensor = s) -> tuple[torch.Tensor, torch.Tensor]:
            whole = interpolate(s, size=(8, 8), mode="bilinear", antialias=False)
            answer = critic(torch.cat([image, whole], 1) if sees else image, ())
            return answer.score, answer.features

        (r, h), (f, g) = said(x), said(fake)
        assert r.shape == (6, 4)  # 2 x 2 patches
        if player == "critic":
            expected = softplus(-r).mean() + softplus(f).mean()
        else:
            pixels = l1_loss(fake, x) if norm == "l1" else mse_loss(fake, x)
            expected = 0.7 * softplus(-f).mean() + 3 * pixels + 0.5 * (h - g).abs().mean()
        assert value(gan, player, batch) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_every_patch_has_the_targets_of_its_image() -> None:
    gan = made(label_smoothing=0.2, label_noise=0.1)
    batch = batch_of(gan, "critic")
    critic, s = gan.players["critic"], batch.data["sources"]
    fake = gan.players["generator"](*batch.draws["latent"], batch.draws["generator"], s)
    r, f = critic(batch.data["images"], (), s).score, critic(fake, (), s).score
    real, of_fake = batch.draws["targets"]
    assert real.shape == (6, 1) and 0.7 <= float(real.min()) < float(real.max()) <= 0.8
    expected = (softplus(r) - real * r).mean() + (softplus(f) - of_fake * f).mean()
    assert value(gan, "critic", batch) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_without_an_adversary_it_learns_from_pixels_alone() -> None:
    """The twin: L1 alone."""
    gan = made(adversarial=0.0)
    batch = batch_of(gan, "generator")
    fake = gan.players["generator"](*batch.draws["latent"], batch.draws["generator"], batch.data["sources"])
    assert gan.loss("generator", batch).terms.keys() == {"pixels"}
    assert value(gan, "generator", batch) == pytest.approx(
        100 * float(l1_loss(fake, batch.data["images"]).detach()), rel=1e-6
    )


@pytest.mark.parametrize("penalty", [{"gradient_penalty": "two_sided"}, {"zero_penalty": "r1", "loss": "hinge"}])
def test_penalties_and_other_losses_hold_for_patches(penalty: dict[str, Any]) -> None:
    gan = made(patch_norm="instance", relativistic="none", critic_constraint="spectral_norm", **penalty)
    for player, network in gan.players.items():
        loss = gan.loss(player, batch_of(gan, player)).total()
        gradients = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
        assert loss.isfinite() and all(g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)


def test_both_of_a_pair_are_mirrored_or_neither() -> None:
    gan = made(mirror=True)
    sources = torch.rand(200, 1, 4, 4, generator=rng(4))
    images = interpolate(sources, scale_factor=2).expand(-1, 3, -1, -1)
    data = gan.draw("critic", 200, {"images": images, "sources": sources}, rng()).data
    assert torch.equal(interpolate(data["sources"], scale_factor=2).expand(-1, 3, -1, -1), data["images"])
    flipped = (data["sources"] != sources).flatten(1).any(1)
    assert 60 < int(flipped.sum()) < 140 and torch.equal(data["sources"][flipped], sources[flipped].flip(3))


def test_translations_are_of_their_sources_alone() -> None:
    gan = build({**SMALL, "latent_planes": 3}, FIELDS, seed=0)
    assert isinstance(gan, Translates)
    sources = 2 * torch.rand(5, 1, 4, 4, generator=rng()) - 1
    one, other = gan.translate(sources), gan.translate(sources.flip(0)).flip(0)
    assert one.shape == (5, 3, 8, 8) and torch.allclose(one, other, atol=1e-6) and one.abs().max() <= 1


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UserError, match="--pairs says what"):
        check({**SMALL}, {"images": Field((1, 8, 8))})
    with pytest.raises(UserError, match="image size 10: translator = resnet makes sizes divisible by 4"):
        check({**SMALL, "translator": "resnet"}, {**FIELDS, "images": Field((1, 10, 10))})
    assert impossible({**FIELDS, "images": Field((1, 10, 10))})["translator"] == ["resnet"]


def test_judges_of_pairs_need_a_translator(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="fitness 'psnr' judges GANs that make images from images: those of space 'wdcg"
    ):
        evogan.search("wdcgan", "digits", fitness="psnr", evaluations=1, runs=tmp_path)


# --- judges


def test_likeness_is_that_of_torchmetrics() -> None:
    true = 2 * torch.rand(20, 3, 16, 16, generator=rng()) - 1
    near = (true + 0.2 * torch.randn(true.shape, generator=rng(1))).clamp(-1, 1)
    found = likeness(near, true)
    each = [float(peak_signal_noise_ratio((a + 1) / 2, (b + 1) / 2, data_range=1.0)) for a, b in zip(near, true)]  # noqa: B905
    assert found["psnr"] == pytest.approx(sum(each) / len(each), rel=1e-5)
    assert found["l1"] == pytest.approx(float((near - true).abs().mean()) / 2, rel=1e-5)
    theirs = structural_similarity_index_measure((near + 1) / 2, (true + 1) / 2, data_range=1.0)
    assert found["ssim"] == pytest.approx(float(theirs), rel=1e-3)  # their windows are mirrored at the border
    assert likeness(true, true) == pytest.approx({"l1": 0.0, "psnr": 100.0, "ssim": 1.0})


def test_baselines_need_no_training() -> None:
    grey = load_dataset(DataSpec("digits", pairs="low:2"))
    found = baselines(grey, 0)
    assert found["psnr_copy"] > found["psnr_mean"] > 5 and found["l1_copy"] < found["l1_mean"]
    colour, like = torch.rand(2, 3, 8, 8, generator=rng()), torch.zeros(2, 1, 8, 8)
    assert copied(colour, like).shape == like.shape and torch.equal(copied(like, colour), torch.zeros(2, 3, 8, 8))


def test_a_winner_is_held_against_its_twin_and_translates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"filters": 8, "patch_filters": 8, "patch_layers": 1, "batch_size": 8}
    space = Space(
        "small",
        [Gene(name="learning_rate", kind="choice", values=(2e-3, 1e-3))],
        fixed={name: v for name, v in {**read_genome("pix2pix").genome, **small}.items() if name != "learning_rate"},
        table=GENES,
    )
    task: dict[str, Any] = {"kimg": 0.6, "samples": 60, "pairs": "edges:3", "fitness": "l1"}
    run = evogan.search(space, "digits", evaluations=1, confirm=1, workers=1, runs=tmp_path, **task)
    assert run.best is not None
    last = run.best.evaluations[0].scores[-1]
    assert last["l1"] < last["l1_copy"] and last["psnr"] > last["psnr_copy"] and last["source_effect"] > 0.05
    winner, twin, source, mean = translated(run)
    (checked,) = run.confirmations[0].evaluations
    assert all({"l1", "validation_l1"} <= point.keys() for point in checked.scores), "a test chooses no checkpoint"
    assert checked.kept["validation_l1"] == min(point["validation_l1"] for point in checked.scores)
    assert checked.scores[-1]["validation_l1"] != checked.scores[-1]["l1"] and "validation_l1" not in last
    assert winner.figures["l1"][0] == pytest.approx(run.confirmations[0].mean) and twin.name.endswith("of pixels alone")
    assert source.figures.keys() == {"fid", "l1", "psnr", "ssim"} and mean.figures.keys() == {"l1", "psnr", "ssim"}
    assert not source.replicates
    assert twin.figures["psnr"][0] != winner.figures["psnr"][0] > source.figures["psnr"][0]
    assert "the source itself" in run.report().read_text()

    def translate(*asked: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["evogan", "translate", str(generator), *asked])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), "".join(capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    (generator,) = list(tmp_path.rglob("generator.safetensors"))[:1]
    sources = load_dataset(DataSpec("digits", pairs="edges:3")).unseen["images"]["sources"][:8, 0]
    Path("drawn").mkdir()
    for i, source in enumerate(sources):
        Image.fromarray(source).save(f"drawn/{i}.png")
    Image.fromarray(sources[0]).save("drawn/1.bmp")
    code, said = translate("--data", "drawn", "--to", "made")
    assert code == 0 and "9 images" in said, said
    assert sorted(path.name for path in Path("made").iterdir()) == sorted(
        ["1.bmp.png", "1.png.png", *(f"{i}.png" for i in range(8) if i != 1)]
    )
    made = evogan.load(generator).translate(torch.from_numpy(sources[:1, None].copy()))[0, 0]
    assert np.array_equal(np.asarray(Image.open("made/0.png")), ((made + 1) * 127.5).round().byte().numpy())
    for among in (["--to", "./drawn/"], ["--to", "drawn/made"], ["--picture", "drawn/seen.png"]):
        code, said = translate("--data", "drawn", *among)
        assert code == 2 and "lies in the folder of --data 'drawn'" in said
    for line in (["--data", "digits", "--image-size", "4"], ["--data", "nothing"]):
        code, said = translate(*line)
        assert code == 2 and said.startswith("evogan: ") and said.count("\n") <= 3


@pytest.mark.parametrize(
    ("sources", "made"),
    [
        (["a/x.png", "b/x.png", "b/y.jpg"], ["a/x.png", "b/x.png", "b/y.png"]),
        (["x.jpg", "x.png", "y.png"], ["x.jpg.png", "x.png.png", "y.png"]),
        (["x.jpg", "x.png", "x.jpg.bmp"], ["x.jpg.png", "x.png.png", "x.jpg.bmp.png"]),
    ],
)
def test_each_source_has_a_file_of_its_own(sources: list[str], made: list[str], tmp_path: Path) -> None:
    assert _files([str(tmp_path / name) for name in sources], tmp_path) == [Path(name) for name in made]
    assert _files(["0", "1"], tmp_path) == [Path("0.png"), Path("1.png")], "of no files, though there is such a folder"


# --- super-resolution, and critics of whole images


def test_content_is_compared_by_what_a_network_sees_and_pixels_come_first() -> None:
    """SRGAN's loss; before the game has begun the translator is told of pixels alone."""
    weights = {"adversarial": 0.001, "pixel_loss": 0.5, "feature_loss": 2.0, "pixel_pretraining": 0.5}
    gan = made(translator="srresnet", translator_blocks=1, translation_critic="srgan", critic_units=5, **weights)
    weight = torch.rand(2, 3, 3, 3, generator=rng(5), dtype=torch.float64)

    def seen(x: torch.Tensor) -> torch.Tensor:
        return conv2d(x, weight)

    gan.look_through(seen)
    assert isinstance(gan, LooksThrough) and not gan.steady
    for progress in (0.49, 0.5):
        gan.begin(progress)
        batch = batch_of(gan, "generator")
        x, s = batch.data["images"], batch.data["sources"]
        fake = gan.players["generator"](*batch.draws["latent"], batch.draws["generator"], s)
        said = gan.players["critic"](fake, (), s).score
        assert said.shape == (6,)
        expected = l1_loss(fake, x)
        if progress == 0.5:
            expected = 0.001 * softplus(-said).mean() + 0.5 * expected + 2 * mse_loss(seen(fake), seen(x))
        assert value(gan, "generator", batch) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_the_networks_of_srgan_have_the_published_sizes() -> None:
    """Of images of 96 pixels, arXiv:1609.04802, figure 4; by hand, layer after layer."""
    genome = read_genome("srgan").genome
    found = count_parameters(genome, {"images": Field((3, 96, 96)), "sources": Field((3, 24, 24))})
    conv, normed = 64 * 64 * 9, 2 * 64
    blocks = 16 * (2 * (conv + normed) + 1) + conv + normed
    generator = 3 * 81 * 64 + 64 + 1 + blocks + 2 * (4 * (conv + 64) + 1) + 64 * 81 * 3 + 3
    assert found["generator"] == generator == 1_547_350
    widths = [64, 64, 128, 128, 256, 256, 512, 512]
    critic = 3 * 9 * 64 + 64 + sum(9 * a * b + 2 * b for a, b in itertools.pairwise(widths))
    assert found["critic"] == critic + 512 * 36 * 1024 + 1024 + 1024 + 1


@pytest.mark.parametrize(("source", "size", "entry"), [(7, 28, 7), (8, 32, 8), (4, 28, 7), (9, 27, 27), (28, 28, 28)])
def test_pixel_shuffles_lead_from_a_source_to_its_image(source: int, size: int, entry: int) -> None:
    fields = {"images": Field((1, size, size)), "sources": Field((1, source, source))}
    network = build({**SMALL, "translator": "srresnet", "translator_blocks": 1}, fields, 0).players["generator"]
    sides = []
    network.before.register_forward_hook(lambda _, x, y: sides.append(y.shape[-1]))  # type: ignore[union-attr]
    made = network(torch.zeros(2, 1), (), torch.zeros(2, 1, source, source))
    assert made.shape == (2, 1, size, size) and sides == [entry]


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("size", [8, 10, 13])
def test_a_dense_critic_makes_one_score_of_an_image(kernel: int, size: int) -> None:
    fields = {"images": Field((1, size, size)), "sources": Field((1, size, size))}
    genome = {**SMALL, "translation_critic": "dense", "translation_kernel": kernel, "patch_layers": 2}
    gan = build({**genome, "label_smoothing": 0.1}, fields, 0)
    images = torch.rand(5, 1, size, size, generator=rng(), requires_grad=True)
    score = gan.players["critic"](images, (), images).score
    assert score.shape == (5,) and gan.translate(images.detach()).shape == images.shape  # type: ignore[attr-defined]
    (reach,) = torch.autograd.grad(score.sum(), images)
    assert reach.ne(0).all()
    batch = gan.draw("critic", 5, {"images": images.detach(), "sources": images.detach()}, rng())
    assert batch.draws["targets"][0].shape == (5,) and gan.loss("critic", batch).total().isfinite()


def test_a_twin_learns_from_pixels_alone() -> None:
    srgan = twin_of(read_genome("srgan").genome)
    assert srgan is not None and (srgan["adversarial"], srgan["feature_loss"], srgan["pixel_loss"]) == (0.0, 0.0, 1.0)
    pix2pix = read_genome("pix2pix").genome
    assert twin_of(pix2pix) == Genome({**pix2pix, "adversarial": 0.0})
    assert twin_of(read_genome("srresnet").genome) is None


def test_what_is_made_of_a_low_image_is_reduced_again_and_a_hole_is_judged_apart() -> None:
    low = baselines(load_dataset(DataSpec("digits", pairs="low:2")), 0)
    assert 0 < low["reduced_l1_copy"] < low["l1_copy"] and "psnr_hole_copy" not in low
    hole = baselines(load_dataset(DataSpec("digits", pairs="hole")), 0)
    data = load_dataset(DataSpec("digits")).held_out[::2] / 255
    middle = ((data[:, 0, 2:6, 2:6] - 128 / 255) ** 2).mean((1, 2))
    assert hole["psnr_hole_copy"] == pytest.approx(float((-10 * np.log10(middle)).mean()), rel=1e-6)
    assert hole["psnr_hole_copy"] < hole["psnr_copy"]


def test_a_feature_network_shows_its_last_maps() -> None:
    network = load_features("mnist")
    images = torch.rand(3, 1, 28, 28, generator=rng(), requires_grad=True)
    maps = network.maps(images)
    assert maps.shape == (3, 64, 11, 11)
    assert torch.equal(network.body[-4:](maps), network(images))  # type: ignore[index, operator, union-attr]
    assert torch.autograd.grad(maps.sum(), images)[0].any()
