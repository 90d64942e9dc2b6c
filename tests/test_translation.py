"""Images from images: losses against their formulas, pairs that stay pairs, judges against torchmetrics."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate, l1_loss, mse_loss, softplus
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

import evogan
from evogan import Gene, Space, UserError, cli
from evogan.data import DataSpec, load_dataset
from evogan.evaluation.translations import baselines, copied
from evogan.families import Field
from evogan.families.build import build, check, impossible
from evogan.families.translation.model import TranslationGAN
from evogan.fitness.likeness import likeness
from evogan.genes import GENES
from evogan.report.translated import translated
from evogan.shipped import read_genome
from evogan.zoo.gan import Batch, Translates

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


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
        evogan.search("wdcgan", "digits", pairs="edges", fitness="psnr", evaluations=1, runs=tmp_path)


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
    assert winner.figures["l1"][0] == pytest.approx(run.confirmations[0].mean) and twin.name.endswith("of pixels alone")
    assert source.figures.keys() == mean.figures.keys() == {"l1", "psnr", "ssim"} and not source.replicates
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
    assert translate("--data", "drawn", "--to", "./drawn/") == (
        2,
        "evogan: --to 'drawn' is the folder of the sources: what is made of them would take their places\n",
    )
    for line in (["--data", "digits", "--image-size", "4"], ["--data", "nothing"]):
        code, said = translate(*line)
        assert code == 2 and said.startswith("evogan: ") and said.count("\n") <= 3
