"""evogan.fitness: against independent libraries, closed forms, and the shipped networks' own records."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import Tensor, nn

import evogan.fitness.scorer as scoring
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.data.cache import remembered
from evogan.data.dataset import changed, image_dataset
from evogan.errors import UserError
from evogan.files import cache_folder
from evogan.fitness import (
    METRICS,
    SHIPPED,
    FeatureNet,
    FeatureRecord,
    Features,
    KernelSample,
    Moments,
    NonFiniteSamples,
    NormalizedLoss,
    Scorer,
    feature_table,
    frechet_distance,
    kernel_distance,
    kid,
    load_features,
    save_network,
    train_features,
)
from evogan.fitness.features import NETWORKS, read_record
from evogan.fitness.measures import (
    OF_A_TRAINING,
    OF_CAPTIONS,
    OF_CLASSES,
    OF_CLASSIFIERS,
    OF_CRITICS,
    OF_DOMAINS,
    OF_ENCODERS,
    OF_POINTS,
    OF_SEQUENCES,
    OF_TRANSLATORS,
)
from evogan.fitness.normalized_loss import LossName
from evogan.fitness.scorer import extract, to_unit_range
from evogan.fitness.threads import threads
from evogan.fitness.train_features import measure

torch.set_num_threads(1)

SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def scorer(digits: Dataset) -> Scorer:
    return Scorer(digits, load_features("digits"), samples=300)


def held_out_images(dataset: Dataset) -> Tensor:
    return to_unit_range(torch.from_numpy(dataset.held_out))


# ------------------------------------------------------------------------------------------- Frechet


class Identity(nn.Module):
    """Lets torchmetrics take features for images."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.mark.parametrize(("n", "m", "d"), [(500, 400, 8), (1000, 300, 64), (60, 50, 64), (40, 900, 100)])
def test_frechet_distance_equals_torchmetrics(n: int, m: int, d: int) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    real = (normal(n, d) @ normal(d, d, seed=1)).relu()
    fake = (normal(m, d, seed=2) @ normal(d, d, seed=3) + 1).relu()
    theirs = FrechetInceptionDistance(feature=Identity(d))
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    ours = frechet_distance(Moments.of(real), Moments.of(fake))
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-4)


def test_frechet_distance_equals_torch_fidelity() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, fake = normal(700, 32), normal(500, 32, seed=1) @ normal(32, 32, seed=2)
    theirs = fid_statistics_to_metric(fid_features_to_statistics(real), fid_features_to_statistics(fake), verbose=False)
    ours = frechet_distance(Moments.of(real), Moments.of(fake))
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)


def test_frechet_distance_in_closed_form() -> None:
    """Commuting covariances: |m1 - m2|^2 + sum (s1 - s2)^2 over the standard deviations."""
    basis, _ = torch.linalg.qr(normal(5, 5))
    s1, s2 = torch.tensor([1.0, 2, 0, 4, 5]).double(), torch.tensor([3.0, 2, 1, 0, 7]).double()
    m1, m2 = normal(5, seed=1), normal(5, seed=2)
    a = Moments(9, m1, basis * s1**2 @ basis.T)
    b = Moments(9, m2, basis * s2**2 @ basis.T)
    expected = float((m1 - m2).square().sum() + (s1 - s2).square().sum())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40)
@given(seed=SEEDS, n=st.integers(2, 40), m=st.integers(2, 40), d=st.integers(1, 12))
def test_frechet_distance_is_a_distance(seed: int, n: int, m: int, d: int) -> None:
    x, y = normal(n, d, seed=seed), 2 * normal(m, d, seed=seed + 1) + 1
    a, b = Moments.of(x), Moments.of(y)
    distance = frechet_distance(a, b)
    assert distance >= 0
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-5, abs=1e-5)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)
    far = normal(1, d, seed=seed + 2)
    assert frechet_distance(Moments.of(x + far), Moments.of(y + far)) == pytest.approx(distance, rel=1e-5, abs=1e-5)
    turn, _ = torch.linalg.qr(normal(d, d, seed=seed + 3))
    assert frechet_distance(Moments.of(x @ turn), Moments.of(y @ turn)) == pytest.approx(distance, rel=1e-5, abs=1e-5)


def test_moments_are_numpys() -> None:
    features = normal(50, 6)
    moments = Moments.of(features.float())
    assert np.allclose(moments.covariance, np.cov(features.float().numpy(), rowvar=False), atol=1e-6)
    assert moments.mean.dtype == moments.covariance.dtype == torch.float64
    with pytest.raises(ValueError, match="at least 2"):
        Moments.of(features[:1])


# ------------------------------------------------------------------------------------------- KID


def brute_kid(x: Tensor, y: Tensor) -> float:
    d = x.shape[1]

    def mean(a: Tensor, b: Tensor, same: bool) -> float:
        values = [
            (float(a[i] @ b[j]) / d + 1) ** 3 for i in range(len(a)) for j in range(len(b)) if not (same and i == j)
        ]
        return sum(values) / len(values)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@settings(max_examples=25)
@given(seed=SEEDS, n=st.integers(2, 12), m=st.integers(2, 12), d=st.integers(1, 6), wide=st.booleans())
def test_kernel_distance_equals_loops(seed: int, n: int, m: int, d: int, wide: bool) -> None:
    x, y = normal(n, d, seed=seed), normal(m, d, seed=seed + 1) + 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kid, "BLOCK", 5)
        if wide:
            patch.setattr(kid, "NARROW", 0)
        ours = kernel_distance(KernelSample(x), KernelSample(y))
    assert ours == pytest.approx(brute_kid(x, y), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("d", [64, 200])
def test_kernel_distance_equals_torchmetrics(d: int) -> None:
    from torchmetrics.image.kid import poly_mmd

    x, y = normal(300, d).relu(), normal(300, d, seed=1).relu() * 1.2
    ours = kernel_distance(KernelSample(x), KernelSample(y))
    assert ours == pytest.approx(float(poly_mmd(x, y)), rel=1e-6)


def test_kernel_distance_of_equals_is_zero_on_average() -> None:
    values = [
        kernel_distance(KernelSample(normal(50, 4, seed=2 * k)), KernelSample(normal(50, 4, seed=2 * k + 1)))
        for k in range(300)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)


# ------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_are_small_and_recorded(name: str) -> None:
    path = NETWORKS / f"{name}.safetensors"
    record = read_record(path)
    assert path.stat().st_size < 300_000
    assert record.name == name
    assert record.accuracy >= {"digits": 0.98, "mnist": 0.99, "fashion_mnist": 0.91}[name]
    assert [n for n, _, _ in record.noise] == ([500, 1000] if name == "digits" else [500, 1000, 5000])
    assert load_features(name).id.startswith(f"{name}-")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_are_as_recorded(name: str) -> None:
    folder = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}.get(name)
    if folder and not (Path(os.environ.get("EVOGAN_DATA", "")) / folder / "raw").is_dir():
        pytest.skip(f"EVOGAN_DATA names no folder with the real {folder} files")
    dataset = load_dataset(DataSpec(name))
    if folder:  # the whole of it takes half a minute
        dataset = changed(dataset, images=dataset.images[:2], labels=dataset.labels[:2])
    network = load_features(name)
    assert isinstance(network, FeatureNet)
    again = measure(network, dataset)
    assert again.accuracy == pytest.approx(network.record.accuracy, abs=2e-4)
    if not folder:
        assert dataset.fingerprint == network.record.fingerprint
        assert again.floor == pytest.approx(network.record.floor, rel=1e-3)
        assert np.allclose(again.noise, network.record.noise, rtol=1e-3)


def test_inputs_are_pinned_to_minus_one_to_one(digits: Dataset) -> None:
    """Another range gives another FID: the record is of [-1, 1]."""
    network = load_features("digits")
    unit = to_unit_range(torch.from_numpy(digits.images))
    assert (float(unit.min()), float(unit.max())) == (-1, 1)
    reference, held_out = Moments.of(network(unit)), held_out_images(digits)
    pinned = frechet_distance(reference, Moments.of(network(held_out)))
    assert pinned == pytest.approx(read_record(NETWORKS / "digits.safetensors").floor, rel=1e-3)
    assert frechet_distance(reference, Moments.of(network((held_out + 1) / 2))) > 5 * pinned


@pytest.mark.parametrize(("size", "channels"), [(4, 1), (8, 1), (15, 3), (16, 1), (28, 1), (32, 3), (64, 3), (100, 1)])
def test_a_network_for_every_size(size: int, channels: int) -> None:
    network = FeatureNet(FeatureRecord("own", "f", size, channels, 7), torch.Generator().manual_seed(0))
    images = normal(3, channels, size, size).clamp(-1, 1).float()
    assert network(images).shape == (3, 64)
    assert network.logits(images).shape == (3, 7)
    assert network(normal(2, 4 - channels, 20, 20).float()).shape == (2, 64)
    assert sum(weight.numel() for weight in network.parameters()) < 300_000


def test_inputs_of_other_sizes_and_channels() -> None:
    network = load_features("digits")
    small = normal(3, 1, 8, 8).clamp(-1, 1).float()
    assert torch.allclose(network(small.expand(-1, 3, -1, -1)), network(small), atol=1e-5)
    plain = torch.full((1, 3, 20, 20), 0.25)
    assert torch.allclose(network(plain), network(plain[:, :1, :8, :8]), atol=1e-5)


def test_networks_of_equal_seeds_are_equal() -> None:
    record = FeatureRecord("own", "f", 8, 1, 7)
    one, two, other = (FeatureNet(record, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.id == two.id != other.id


def test_training_saving_loading(digits: Dataset, tmp_path: Path) -> None:
    few = changed(digits, images=digits.images[:600], labels=digits.labels[:600])
    heard: list[float] = []
    networks = [train_features(few, epochs=4, progress=lambda done, loss: heard.append(done)) for _ in "12"]
    assert heard == sorted(heard[:20]) * 2 and heard[-1] == 1
    assert networks[0].id == networks[1].id
    assert networks[0].record == networks[1].record
    assert networks[0].record.accuracy > 0.5
    path = tmp_path / "own.safetensors"
    save_network(networks[0], path)
    again = load_features(str(path))
    assert isinstance(again, FeatureNet)
    assert (again.id, again.record) == (networks[0].id, networks[0].record)
    assert measure(again, few) == again.record
    assert pickle.loads(pickle.dumps(again)).id == again.id


def test_training_needs_classes(digits: Dataset) -> None:
    for dataset in (
        changed(digits, labels=None, held_out_labels=None),
        load_dataset(DataSpec("digits", classes=(4,))),
    ):
        with pytest.raises(UserError, match=r"'digits'.*at least 2 classes"):
            train_features(dataset, labels=True)


def refused(name: str) -> str:
    with pytest.raises(UserError) as caught:
        load_features(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_feature_mistakes(tmp_path: Path) -> None:
    assert "did you mean 'mnist'?" in refused("mnsit")
    assert "no such file" in refused(str(tmp_path / "none.safetensors"))
    path = tmp_path / "own.safetensors"
    whole = (NETWORKS / "digits.safetensors").read_bytes()
    for damaged in (b"", b"x" * 99, whole[:500], whole[:-1], whole[8:]):
        path.write_bytes(damaged)
        assert "own.safetensors" in refused(str(path))
    save_file({"x": torch.zeros(3)}, path)
    assert "not a feature network" in refused(str(path))
    for record in ("3", "[]", "{", '{"noise": []}', '{"noise": 3}'):
        save_file({"x": torch.zeros(3)}, path, metadata={"evogan_features_1": record})
        assert "not a feature network" in refused(str(path))
    record = json.dumps({**vars(read_record(NETWORKS / "digits.safetensors")), "noise": []})
    save_file({"x": torch.zeros(3)}, path, metadata={"evogan_features_1": record})
    assert "do not fit" in refused(str(path))


# ------------------------------------------------------------------------------------------- scorer


def test_scores_follow_from_the_features(digits: Dataset, scorer: Scorer) -> None:
    fake = held_out_images(digits)[:300] * 0.9
    network = load_features("digits")
    real_features = network(to_unit_range(torch.from_numpy(digits.images)))
    score = scorer.score([fake])
    moments = Moments.of(real_features), Moments.of(network(fake))
    assert score["fid"] == pytest.approx(frechet_distance(*moments), rel=1e-4)
    samples = KernelSample(real_features), KernelSample(network(fake))
    assert score["kid"] == pytest.approx(kernel_distance(*samples), rel=1e-3, abs=1e-6)
    assert set(score) - set(METRICS) == {"coverage", "diversity", "memorisation"}  # nothing to be minimised


def test_two_images_are_enough(digits: Dataset) -> None:
    """Two to compare with, two held out, two made."""
    two = image_dataset("two", digits.images[:2], None, digits.held_out[:2], None)
    found = Scorer(two, load_features("digits"), 2).score([held_out_images(digits)[2:4]])
    others = {*OF_A_TRAINING, *OF_CAPTIONS, *OF_CLASSES, *OF_CLASSIFIERS, *OF_ENCODERS, *OF_TRANSLATORS}
    others |= {*OF_CRITICS, *OF_DOMAINS, *OF_POINTS, *OF_SEQUENCES}
    assert set(found) == {*METRICS, "coverage", "diversity", "memorisation"} - others
    assert np.isfinite(list(found.values())).all()


def test_batches_do_not_matter(digits: Dataset, scorer: Scorer) -> None:
    images = held_out_images(digits)[:300]
    whole = scorer.score([images])
    assert scorer.score(iter(images.split(37))) == pytest.approx(whole, rel=1e-4)
    assert pickle.loads(pickle.dumps(scorer)).score([images]) == whole
    assert scorer.score([images]) == whole


def test_the_threads_of_a_machine_do_not_matter(digits: Dataset) -> None:
    """Sums over as many images would be rounded otherwise: a run could not go on elsewhere bit for bit."""
    images, found = held_out_images(digits)[:200], []
    for number in (1, 2, 3):
        with threads(number):
            scorer = Scorer(digits, load_features("digits"), samples=200)
        found.append(scorer.score([images]))
    assert found[0] == found[1] == found[2]


def test_worse_images_score_worse(digits: Dataset, scorer: Scorer) -> None:
    images = held_out_images(digits)[:300]
    noise = normal(*images.shape).float()
    scores = [scorer.score([images + strength * noise]) for strength in (0, 0.2, 0.5, 1)]
    assert [score["fid"] for score in scores] == sorted(score["fid"] for score in scores)
    assert [score["kid"] for score in scores] == sorted(score["kid"] for score in scores)
    one_only = scorer.score([images[:1].expand(300, -1, -1, -1)])
    assert one_only["fid"] > 10 * scores[0]["fid"]


@pytest.mark.filterwarnings("error")
def test_read_only_images_as_an_object_store_gives_them(digits: Dataset, scorer: Scorer) -> None:
    images = digits.images.copy()
    images.setflags(write=False)
    again = Scorer(changed(digits, images=images), load_features("digits"), samples=300)
    fake = [held_out_images(digits)[:300]]
    assert again.score(fake) == scorer.score(fake)


def test_samples_are_clamped(digits: Dataset, scorer: Scorer) -> None:
    images = 1.5 * held_out_images(digits)[:300]
    assert scorer.score([images]) == scorer.score([images.clamp(-1, 1)])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_samples(value: float, digits: Dataset, scorer: Scorer) -> None:
    images = held_out_images(digits)[:300].clone()
    images[299, 0, 3, 3] = value
    with pytest.raises(NonFiniteSamples):
        scorer.score([images])


def test_scores_are_of_a_fixed_number_of_samples(digits: Dataset, scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="300 images, not 200"):
        scorer.score([held_out_images(digits)[:200]])


def test_global_random_states_are_left_alone(digits: Dataset, scorer: Scorer, tmp_path: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    scorer.score([held_out_images(digits)[:300]])
    save_network(
        train_features(changed(digits, images=digits.images[:200], labels=digits.labels[:200]), epochs=1),
        tmp_path / "own.safetensors",
    )
    load_features(str(tmp_path / "own.safetensors"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


# ------------------------------------------------------------------------------------------- Inception


def test_inception_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVOGAN_INCEPTION_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert "EVOGAN_INCEPTION_WEIGHTS" in refused("inception") and "--download" in refused("inception")
    path = tmp_path / "weights.pth"
    monkeypatch.setenv("EVOGAN_INCEPTION_WEIGHTS", str(path))
    assert "no such file" in refused("inception")
    torch.save({"x": torch.zeros(3)}, path)
    assert str(path) in refused("inception")
    path.write_bytes(pickle.dumps(print, protocol=2))  # unsafe to unpickle: refused
    assert str(path) in refused("inception")


def test_inception_with_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights: the path from file to features is torch-fidelity's."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path / "weights.pth"
    torch.save({}, path)
    with torch.random.fork_rng(), monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        extractor = FeatureExtractorInceptionV3("inception", ["2048"], str(path))
    torch.save(extractor.state_dict(), path)
    monkeypatch.setenv("EVOGAN_INCEPTION_WEIGHTS", str(path))
    before = torch.get_rng_state()
    features = load_features("inception")
    assert torch.equal(torch.get_rng_state(), before)
    images = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = extractor(images.expand(-1, 3, -1, -1))[0]
    assert torch.allclose(extract(features, [images]), expected, atol=1e-6)
    assert expected.shape == (2, features.dim)
    assert features.id.startswith("inception-")


# ------------------------------------------------------------------------------------------- normalised loss


def test_normalized_loss_by_hand() -> None:
    loss = NormalizedLoss()
    for real, fake in ((1.0, 5.0), (3.0, 2.0), (2.0, 2.0)):
        loss.update("real", torch.tensor(real))
        loss.update("fake", torch.tensor(fake))
    loss.update("generator", torch.tensor(-4.0))  # one value: no range yet, r = 0
    assert loss.value() == pytest.approx(((1 - 0.5) + (1 - 0) + 1 / 3) / 3)
    loss.update("real", torch.tensor(5.0))  # range now 1..5, recent mean 5: r = 1
    loss.update("fake", torch.tensor(2.0))  # range 2..5: r = 0
    loss.update("generator", torch.tensor(-4.0))
    loss.update("generator", torch.tensor(-3.0))  # range -4..-3: r = 1/2
    assert loss.value() == pytest.approx((0 + 0.5 + 0) / 3)


def test_a_loss_that_only_rounding_moves_has_no_range() -> None:
    loss = NormalizedLoss()
    for name in ("real", "fake", "generator"):
        for step in (0.7, 0.7 + 6e-8, 0.7 - 6e-8, 0.7 + 6e-8):
            loss.update(name, torch.tensor(step, dtype=torch.float64))
    assert loss.value() == pytest.approx(2 / 3)


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=3, max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_normalized_loss_lies_in_the_unit_interval(intervals: list[list[float]]) -> None:
    names: tuple[LossName, ...] = ("real", "fake", "generator")
    loss = NormalizedLoss()
    for values in intervals:
        for number, value in enumerate(values):
            loss.update(names[number % 3], torch.tensor(value))
        assert 0 <= loss.value() <= 1


@settings(max_examples=30)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), seed=SEEDS)
def test_normalized_loss_ignores_scale_and_shift(scale: float, shift: float, seed: int) -> None:
    plain, moved = NormalizedLoss(), NormalizedLoss()
    for name in ("real", "fake", "generator"):
        for value in normal(6, seed=seed):
            plain.update(name, value)
            moved.update(name, scale * value + shift)
    assert moved.value() == pytest.approx(plain.value(), abs=1e-6)


def test_normalized_loss_of_nan_and_of_nothing() -> None:
    loss = NormalizedLoss()
    loss.update("real", torch.tensor(1.0))
    with pytest.raises(ValueError, match="'fake'"):
        loss.value()
    for name in ("real", "fake", "generator"):
        loss.update(name, torch.tensor(float("nan")))
    assert np.isnan(loss.value())


# ------------------------------------------------------------------------------------------- documentation


def test_the_page_and_the_records_agree() -> None:
    page = (Path(__file__).parent.parent / "docs" / "fitness.md").read_text()
    assert feature_table() in page
    for name in METRICS:
        assert f"`{name}`" in page


# ------------------------------------------------------------------------------------------- the reference's cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVOGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def extractions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Its length is how often features of a data set were computed."""
    found: list[int] = []

    def counted(of: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def counting(network: Features, images: Iterable[Tensor]) -> Tensor:
            found.append(1)
            return of(network, images)

        return counting

    for of in (scoring.extract, scoring._each_on_one_core):
        monkeypatch.setattr(scoring, of.__name__, counted(of))
    return found


def few(digits: Dataset, n: int = 400) -> Dataset:
    return changed(digits, images=digits.images[:n], labels=None, held_out=digits.held_out[:60], held_out_labels=None)


def scores(dataset: Dataset, network: Features | None = None) -> dict[str, float]:
    """Of the held-out images of all, which are not among the extractions."""
    scorer = Scorer(dataset, network or load_features("digits"), samples=len(dataset.held_out))
    return scorer.score([held_out_images(dataset)])


def test_with_and_without_the_cache_scores_are_equal(digits: Dataset, cache: Path, extractions: list[int]) -> None:
    first, again = scores(few(digits)), scores(few(digits))
    assert len(extractions) == 2 + 1 + 1  # training and held-out images once; the scored ones twice
    assert first == again
    assert len(list(cache.iterdir())) == 1
    scores(few(digits, 399))
    scores(changed(few(digits), held_out=digits.held_out[1:61]))
    scores(few(digits), FeatureNet(read_record(NETWORKS / "digits.safetensors"), torch.Generator().manual_seed(0)))
    assert len(list(cache.iterdir())) == 4
    assert len(extractions) == 4 + 3 * 3


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "text": lambda content: b"something else",
    "foreign": lambda content: save({"real": torch.zeros(3)}),
    "of others": lambda content: content.replace(b"digits", b"Digits"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_and_foreign_files_are_rewritten(
    digits: Dataset, cache: Path, extractions: list[int], damage: str
) -> None:
    expected = scores(few(digits))
    (path,) = cache.iterdir()
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    assert path.read_bytes() != content
    assert scores(few(digits)) == expected
    assert path.read_bytes() == content
    assert len(extractions) == 2 * 3


@pytest.mark.parametrize("obstacle", ["file in its place", "no home"])
def test_a_folder_that_cannot_be_written_is_no_error(
    digits: Dataset, cache: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    expected = scores(few(digits))
    if obstacle == "no home":
        monkeypatch.delenv("EVOGAN_CACHE")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    else:
        cache.with_name("taken").write_text("")
        monkeypatch.setenv("EVOGAN_CACHE", str(cache.with_name("taken")))
    assert scores(few(digits)) == expected


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOGAN_CACHE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EVOGAN_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "evogan"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == tmp_path / "home" / ".cache" / "evogan"


def test_processes_that_write_at_once_leave_whole_files(cache: Path) -> None:
    expected = remembered({"data": "made up"}, _made_up)["real"]
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:  # each imports torch, and there are two cores
        found = list(pool.map(_forgotten_again, [path] * 80))
    assert all(torch.equal(one, expected) for one in found)
    assert torch.equal(remembered({"data": "made up"}, _made_up)["real"], expected)
    assert list(cache.iterdir()) == [path]
    assert path.read_bytes() == whole


def _made_up() -> dict[str, Tensor]:
    return {"real": torch.arange(20_000.0)}


def _forgotten_again(path: Path) -> Tensor:
    """Once read or written the file is taken away, so that others write it while some read."""
    found = remembered({"data": "made up"}, _made_up)["real"]
    path.unlink(missing_ok=True)
    return found
