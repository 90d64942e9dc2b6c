"""`evogan export code`: one readable file of PyTorch that trains a GAN without evogan, with the losses of evogan."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import evogan
from evogan import load, shipped
from evogan.data import DataSpec, load_dataset
from evogan.data.load import called
from evogan.engine import Store
from evogan.errors import UserError
from evogan.evaluation.checkpoint import MAGIC, pack_generator
from evogan.export.code import Wanted, unsupported, write_code
from evogan.export.code.compare import as_module, default, furthest, narrow, some_images
from evogan.export.code.weights import weights
from evogan.export.found import find
from evogan.families import family_of, image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.runs.place import Place
from evogan.space import load_space
from evogan.stable import derive_seed
from evogan.trial import GANTask
from evogan.zoo.backbones.progressive import Growth
from evogan.zoo.gan import GAN, Prompt
from tests import test_cli
from tests.test_cli import mistake

shell = test_cli.run
GENOMES = {name: shipped.read_genome(name) for name in shipped.names("genomes")}
WRITTEN = [name for name, file in GENOMES.items() if unsupported(file.genome) is None]
FAR = ["acgan", "dcgan", "ebgan_pt", "fashion_cgan", "gan_mlp_small", "rgan"]  # trained for 50 iterations in the suite
ALLOWED = {"argparse", "collections", "copy", "itertools", "math", "pathlib", "struct", "zlib", "__future__"}
ALLOWED |= {"numpy", "torch"}
ASKED_FOR = {"sklearn", "PIL"}  # imported where they are needed alone: digits, folders


def wanted(genome: Genome, size: int = 16, channels: int = 3, name: str = "mine") -> Wanted:
    return Wanted(genome, size, channels, 10, 7, 1.0, name, "Mine", "", "evogan export code mine")


def small(name: str) -> Wanted:
    return wanted(GENES.read(narrow(GENOMES[name].genome)))


@pytest.mark.parametrize("name", WRITTEN)
def test_the_first_losses_of_a_published_genome_are_those_of_evogan(name: str) -> None:
    """Of two iterations; in float32, which a step magnifies, those of the first step."""
    data, steps = some_images(small(name)), {"critic_steps": 1, "generator_steps": 1}
    first = wanted(GENES.read({**small(name).genome, **steps}))
    assert furthest(first, *data, 1, torch.float32)["critic"] < 1e-5
    assert max(furthest(small(name), *data, 2, torch.float64).values()) < 1e-9


@pytest.mark.parametrize("name", FAR)
def test_losses_stay_those_of_evogan(name: str) -> None:
    assert max(furthest(small(name), *some_images(small(name)), 50, torch.float64).values()) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITTEN)
def test_losses_of_every_published_genome_stay_those_of_evogan(name: str) -> None:
    assert max(furthest(small(name), *some_images(small(name)), 50, torch.float64).values()) < 1e-9


def test_what_is_not_written_is_named() -> None:
    assert len(WRITTEN) >= 40
    for name in GENOMES.keys() - WRITTEN:
        with pytest.raises(UserError, match=r"no code is written for .+"):
            write_code(wanted(GENOMES[name].genome))
    assert all(family_of(GENOMES[name].genome).name == "plain" for name in WRITTEN)


@pytest.mark.parametrize("relativistic", ["pairs", "average"])
@pytest.mark.parametrize("more", [{"loss": "hinge"}, {"loss": "least_squares", "label_smoothing": 0.1}])
def test_classes_that_are_wrong_are_told_of_in_relativistic_losses_too(relativistic: str, more: dict[str, Any]) -> None:
    genome = GENOMES["evolved_mnist"].genome
    one = wanted(GENES.read(narrow(GENES.read({**genome, "relativistic": relativistic, "wrong_label": 0.3, **more}))))
    assert max(furthest(one, *some_images(one), 3, torch.float64).values()) < 1e-9


def random_genomes(n: int, seed: int) -> list[Genome]:
    """Of all genes at once, that code is written for."""
    space, rng = load_space("anything"), np.random.default_rng(seed)
    found = (space.decode(rng.random(space.dimension).tolist()) for _ in itertools.count())
    narrowed = (GENES.read(narrow(genome)) for genome in found)
    return list(itertools.islice((genome for genome in narrowed if unsupported(genome) is None), n))


def test_random_genomes_have_the_losses_of_evogan() -> None:
    for genome in random_genomes(8, seed=5):
        try:
            far = furthest(wanted(genome), *some_images(wanted(genome)), 1, torch.float64)
        except UserError:  # images of 16x16 do not fit
            continue
        assert max(far.values()) < 1e-7, dict(genome)


def test_files_are_formatted_short_and_need_torch_and_numpy_alone(tmp_path: Path) -> None:
    for name in WRITTEN:
        text = write_code(wanted(GENOMES[name].genome, 32, 3, name))
        (tmp_path / f"{name}.py").write_text(text)
        assert 150 <= len(text.splitlines()) <= 600, name
        tree = ast.parse(text)
        above = {module for node in tree.body for module in imported(node)}
        anywhere = {module for node in ast.walk(tree) for module in imported(node)}
        assert above <= ALLOWED and anywhere <= ALLOWED | ASKED_FOR
        assert '"""' in text and "{{" not in text and "{%" not in text
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check", "--select", "E4,E7,E9,F,I,B,UP,SIM,RUF"]):
        done = subprocess.run([*ruff, *command, "--isolated", str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {str(node.module).partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def trained(wanted: Wanted) -> GAN:
    """As if: nothing of its generator is at its first value, which is often 0."""
    gan = build(wanted.genome, image_fields(wanted.image_size, wanted.channels, wanted.classes), wanted.seed)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for x in gan.sampler.parameters():
            x += 0.1 * torch.randn(x.shape, generator=rng)
        for name, x in gan.sampler.named_buffers():
            if name.endswith(("mean", "var", "noise")):
                x += torch.rand(x.shape, generator=rng)
    return gan


def prompt(gan: GAN, wanted: Wanted, n: int = 12) -> Prompt:
    """Made by a generator of random numbers."""
    found = gan.prompts(n, {"labels": torch.arange(n) % wanted.classes}, torch.Generator().manual_seed(1))
    return {name: x if name == "labels" else x.to(torch.get_default_dtype()) for name, x in found.items()}


def far_from_evogan(wanted: Wanted) -> float:
    """How far pixels are from evogan's, of a plain `Generator()` of the file that has loaded the trained weights."""
    with default(torch.float64), torch.random.fork_rng(devices=[]):
        gan = trained(wanted)
        given = prompt(gan, wanted)
        generator = as_module(write_code(wanted)).Generator()
        generator.load_state_dict(weights(wanted, gan, given), strict=True)
        with torch.no_grad():
            ours = generator.eval()(*(given[name] for name in ("latent", *gan.prompted)))
        theirs = gan.sample(given)
    assert ours.dtype == torch.float64 and theirs.std() > 0
    return float((ours.clamp(-1, 1) - theirs).abs().max())


@pytest.mark.parametrize("name", WRITTEN)
def test_trained_weights_make_the_images_of_evogan(name: str) -> None:
    """To 1e-7, which samples of evogan are rounded to."""
    assert far_from_evogan(small(name)) < 1e-7


def test_trained_weights_of_random_genomes_make_the_images_of_evogan() -> None:
    of = set()
    for genome in random_genomes(40, seed=5):
        try:
            write_code(wanted(genome))
        except UserError:  # images of 16x16 do not fit
            continue
        assert far_from_evogan(wanted(genome)) < 1e-7, dict(genome)
        of.add(genome["backbone"])
    assert {"improved_mlp", "progressive", "autogan", "resnet"} <= of


def test_weights_of_which_the_code_makes_other_images_are_refused() -> None:
    growing = small("pggan")
    gan = trained(growing)
    assert weights(growing, gan, prompt(gan, growing))
    next(module for module in gan.sampler.modules() if isinstance(module, Growth)).keep(1.5)
    with pytest.raises(UserError, match=r"^the code makes other images of these weights .*--no-weights"):
        weights(growing, gan, prompt(gan, growing))
    other = trained(small("dcgan"))
    with pytest.raises(UserError, match=r"^the code's generator has not the weights of evogan's: --no-weights"):
        weights(growing, other, prompt(other, growing))


def file_of(wanted: Wanted, path: Path) -> Path:
    form = {"image_size": wanted.image_size, "channels": wanted.channels}
    task = GANTask(name="some", fingerprint="f", kimg=1, features="f", **form)
    facts = {"key": GENES.key(wanted.genome), "tells_apart": list("abcdefghij"), "classes": list("abcdefghij")}
    path.write_bytes(pack_generator(trained(wanted), wanted.genome, task, facts))
    return path


@pytest.mark.parametrize("name", shipped.generators())
def test_what_comes_trained_is_taken_along_trained(
    shell: test_cli.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell(f"export code {name}").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.py", f"{name}.pt"}
    assert "uint8 (N, 1, 28, 28)" in (tmp_path / f"{name}.py").read_text()


def test_a_trained_gan_is_taken_along(shell: test_cli.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights lie beside the code, which draws samples of them without evogan; of a changed GAN there are none."""
    generator = load(file_of(small("sngan_projection"), tmp_path / "mine.safetensors"))
    done = shell("export code mine.safetensors")
    assert done.code == 0 and done.out.endswith("mine.pt  trained weights; python mine.py --weights mine.pt\n")
    mistake(shell("export code mine.safetensors"), "'mine.py' exists", "--to")
    for options, name in (("--no-weights", "alone.py"), ("--set critic_steps=2", "other.py"), ("--classes 3", "3.py")):
        assert shell(f"export code mine.safetensors {options} --to {name}").code == 0
        assert not (tmp_path / name).with_suffix(".pt").exists()
    (tmp_path / "there.pt").touch()
    mistake(shell("export code mine.safetensors --to there.py"), "'there.pt' exists")
    module = as_module((tmp_path / "mine.py").read_text())
    with torch.random.fork_rng(devices=[]):
        mine = module.Generator()
    mine.load_state_dict(torch.load(tmp_path / "mine.pt", weights_only=True), strict=True)
    given = generator.prompt(5)
    with torch.no_grad():
        assert torch.allclose(mine.eval()(given["latent"], given["labels"]), generator.sample(5), atol=1e-5)
    monkeypatch.setitem(sys.modules, "evogan", None)
    assert samples_of(module, tmp_path / "mine.pt", tmp_path / "out") > 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["samples.png"]


@pytest.mark.parametrize("budget", [{"kimg": 0.1}, {"iterations": 3}, {"seconds": 0.05}], ids=str)
def test_the_seed_and_the_budget_are_those_of_the_training(budget: dict[str, Any], tmp_path: Path) -> None:
    """Of its folder, of its file, and of a file of before that does not say them in a folder of a store."""
    small = {"filters": 4, "batch_size": 8, "critic_steps": 2}
    asked: dict[str, Any] = {"samples": 50, "runs": tmp_path, **budget}
    evaluation, folder = evogan.train(small, "digits", replicate=1002, **asked)
    (key, task_key, _, replicate) = next(iter(Store.existing(tmp_path).identities().values()))
    for name in (folder, folder / "generator.safetensors"):
        found = find(name, Place.of(tmp_path, None))
        assert found.seed == derive_seed(key, task_key, replicate) and replicate == 1002
        assert round(found.kimg * 1000 / 16) == round(evaluation.cost["kimg"] * 1000 / 16), "as many iterations"
    header, weights_ = known_and_weights(folder / "generator.safetensors")
    del header["replicate"], header["kimg"]
    save_file(weights_, folder / "generator.safetensors", {MAGIC: json.dumps(header)})
    assert find(folder / "generator.safetensors", Place.of(tmp_path, None)).seed == derive_seed(key, task_key, 1002)


def known_and_weights(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[MAGIC]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def samples_of(module: Any, weights: Path, to: Path) -> float:
    """How much the pixels vary of what `--weights` draws."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.setattr(sys, "argv", ["x.py", "--weights", str(weights), "--out", str(to), "--device", "cpu"])
        module.main()
    with Image.open(to / "samples.png") as grid:
        return float(np.asarray(grid).std())


def folder_of_images(folder: Path) -> Path:
    for kind, i in itertools.product("ab", range(6)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 18), (40 * i, 0, 200)).save(folder / kind / f"{i}.png")
    return folder


def folder_of_all_kinds(folder: Path) -> Path:
    """Images that are not square, lie on their side, have holes, or a palette; and files that are none."""
    rng = np.random.default_rng(0)

    def image(mode: str, width: int, height: int) -> Image.Image:
        return Image.frombytes(mode, (width, height), rng.bytes(width * height * len(mode)))

    for kind in ("cat", "dog"):
        (folder / kind / "more").mkdir(parents=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    image("RGB", 30, 17).save(folder / "cat" / "wide.png")
    image("RGB", 9, 20).save(folder / "cat" / "more" / "tall.TIFF")
    image("RGB", 21, 40).save(folder / "cat" / "turned.jpe", "JPEG", exif=turned)
    image("RGBA", 16, 16).save(folder / "dog" / "holes.webp", lossless=True)
    image("LA", 25, 24).save(folder / "dog" / "grey_holes.png")
    image("L", 13, 13).save(folder / "dog" / "grey.jfif", "JPEG")
    image("RGB", 20, 20).quantize(8).save(folder / "dog" / "palette.gif", transparency=2)
    image("L", 20, 20).convert("1").save(folder / "dog" / "bits.pbm")
    image("RGB", 18, 20).convert("CMYK").save(folder / "dog" / "printed.jpg")
    image("RGB", 20, 20).save(folder / "dog" / ".hidden.png")
    (folder / "dog" / "notes.txt").write_text("none")
    return folder


def of_evogan(spec: DataSpec) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels, those that are held out, too, in the order in which they are found."""
    data, (_, order) = load_dataset(spec), called(spec)
    labels = None if data.labels is None else np.concatenate([data.labels, data.held_out_labels])[order]
    return np.concatenate([data.images, data.held_out])[order], labels


def apart(ours: torch.Tensor, theirs: np.ndarray) -> int:
    """Resizing rounds otherwise on other processors, by 1."""
    assert ours.shape == theirs.shape and ours.dtype == torch.uint8
    return int((ours.int() - torch.from_numpy(theirs).int()).abs().max())


def test_a_folder_is_read_as_evogan_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of_all_kinds(tmp_path / "pets")
    images, labels = as_module(write_code(small("cgan"))).load(folder)
    assert capsys.readouterr().out == f"{folder}: 9 of 10 files are images\n{folder}: classes cat, dog\n"
    expected, classes = of_evogan(DataSpec(str(folder), image_size=16))
    assert apart(images, expected) <= 1 and labels.tolist() == list(classes)


def test_arrays_are_read_as_evogan_reads_them(tmp_path: Path) -> None:
    """Those that are not square, too; and what evogan trains on can be given to the file."""
    written = as_module(write_code(small("dcgan")))
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).integers(0, 256, (20, 18, 25, 3), dtype=np.uint8))
    wide = DataSpec(str(tmp_path / "wide.npy"), image_size=16)
    assert apart(written.load(tmp_path / "wide.npy"), of_evogan(wide)[0]) <= 1
    trained_on = load_dataset(wide).images
    np.savez(tmp_path / "trained_on.npz", images=trained_on)
    assert apart(written.load(tmp_path / "trained_on.npz"), trained_on) == 0


def test_what_is_black_and_white_is_read_as_evogan_reads_it(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.random.default_rng(0).integers(0, 2, (20, 16, 16), dtype=np.uint8))
    spec = DataSpec(str(tmp_path / "mask.npy"), image_size=16)
    written = as_module(write_code(small("dcgan"))).load(tmp_path / "mask.npy")
    assert apart(written[:, :1], of_evogan(spec)[0]) == 0 and written.max() == 255


def test_what_a_file_cannot_read_is_one_line(tmp_path: Path) -> None:
    written = as_module(write_code(small("cgan")))
    for name, arrays, why in (
        ("bare", {"images": np.zeros((9, 8, 8), np.uint8)}, "arrays are called images and labels"),
        ("clear", {"images": np.zeros((9, 8, 8, 4), np.uint8), "labels": np.zeros(9)}, "must have 1 or 3 channels"),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(SystemExit, match=why):
            written.load(tmp_path / f"{name}.npz")
    for part in ("train", "val"):
        folder_of_images(tmp_path / "parts" / part)
    with pytest.raises(SystemExit, match="only folders that are classes are read here"):
        written.load(tmp_path / "parts")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"empty: allowed: \.png, \.jpg"):
        written.load(tmp_path / "empty")
    Image.new("I;16", (9, 9)).save(tmp_path / "deep.png")
    with pytest.raises(SystemExit, match="images must lie in the folders of their classes"):
        written.load(tmp_path)
    with pytest.raises(SystemExit, match=r"deep.png: pixels must be of 8 bits, not I;16"):
        written.read(tmp_path / "deep.png")


@pytest.mark.parametrize("data", ["digits", "npz", "npy", "folder"])
def test_a_file_trains_by_itself(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without evogan: images in, losses, a checkpoint and a grid out."""
    name = "cgan" if data in ("folder", "npz") else "wdcgan"
    module = as_module(write_code(wanted(GENES.read(narrow(GENOMES[name].genome)), 8, 1)))
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "some.npz", images=images, labels=np.arange(20) % 10)
    np.save(tmp_path / "some.npy", images)
    path = folder_of_images(tmp_path / "folder") if data == "folder" else tmp_path / f"some.{data}"
    monkeypatch.setitem(sys.modules, "evogan", None)
    monkeypatch.setattr(sys, "argv", ["x.py", "--kimg", "0.05", "--device", "cpu", "--out", str(tmp_path / "out")])
    if data != "digits":
        sys.argv += ["--data", str(path)]
    with torch.random.fork_rng(devices=[]):
        module.main()
    states = torch.load(tmp_path / "out" / "checkpoint.pt", weights_only=True)
    assert {"generator", "critic"} <= states.keys()
    with Image.open(tmp_path / "out" / "samples.png") as grid:
        assert grid.size == (64, 64) and np.asarray(grid).std() > 0
    assert samples_of(module, tmp_path / "out" / "checkpoint.pt", tmp_path / "again") > 0


def test_pixels_of_a_grid_are_those_of_the_images(tmp_path: Path) -> None:
    module = as_module(write_code(small("dcgan")))
    images = torch.linspace(-1, 1, 16 * 3 * 4 * 4).view(16, 3, 4, 4)
    module.write_png(tmp_path / "grid.png", images)
    with Image.open(tmp_path / "grid.png") as grid:
        pixels = np.asarray(grid)
    assert pixels.shape == (8, 32, 3)
    assert (pixels[4:8, 8:12] == ((images[10] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()).all()


def test_the_command_line(shell: test_cli.Run, tmp_path: Path) -> None:
    done = shell("export code wgan_gp --image-size 8 --channels 1 --set filters=8")
    assert done.code == 0 and done.out.startswith("wgan_gp.py  ")
    assert "SIZE, CHANNELS = 8, 1" in (tmp_path / "wgan_gp.py").read_text()
    mistake(shell("export code wgan_gp"), "'wgan_gp.py' exists", "--to")
    mistake(shell("export code bigan"), "no code is written for GANs of family 'inference'")
    mistake(shell("export code dcgan --image-size 9"), "image size 9")
    mistake(shell("export code nothing"), "unknown genome 'nothing'")
    mistake(shell("export code dcgan --to x.txt"), ".py")


def test_a_title_is_no_code(tmp_path: Path) -> None:
    text = 'title = """a\\"\\"\\" + evil() + \\"\\"\\"\\n"""\n[genes]\nloss = "hinge"\n'
    (tmp_path / "mine.toml").write_text(text)
    file = shipped.read_genome(tmp_path / "mine.toml")
    code = write_code(Wanted(file.genome, 8, 1, 10, 0, 1.0, 'x"""', file.title, "", "c\\"))
    assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and node.id == "evil"]


def test_the_page_lists_what_is_written() -> None:
    page = (Path(shipped.__file__).parent.parent / "docs" / "export.md").read_text()
    written, missing = page.partition("<!-- written -->")[2].split("<!-- missing -->")
    published = [name for name in shipped.published() if family_of(GENOMES[name].genome).name == "plain"]
    lacking = [name for name in published if name not in WRITTEN]
    assert re.findall(r"`(\w+)`(?=[,:])", written.partition("\n\n")[0]) == [n for n in published if n in WRITTEN]
    assert set(re.findall(r"^- `(\w+)`: ", missing, re.MULTILINE)) == set(lacking)
