"""Plugins: a user's own parts, for command line, Python and campaigns, for resume and workers."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import evogan
from evogan import Gene, Space, UserError
from evogan.campaigns.plan import read_campaign
from evogan.data import DataSpec, image_dataset, load_dataset
from evogan.data.builtin import _ADDED, DATASETS
from evogan.fitness import Features, Scorer, load_features
from evogan.fitness.measures import MEASURES, Reference
from evogan.plugins import Plugged, Plugins, Unusable, at_fault, imported, without
from evogan.strategies import STRATEGIES
from tests import forked

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
STRATEGY, NOISE, BACKBONE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
DATA = """
import numpy as np


def dots(spec):
    images = np.random.default_rng(0).integers(0, 255, (80, 1, 8, 8), dtype=np.uint8)
    return image_dataset("dots", images[:60], None, images[60:], None)


add_dataset("dots", "80 images of noise", dots)


def double(x):
    return 2 * x
"""
SMALL = "--data dots --features digits --kimg 0.05 --samples 50 --workers 1 --finalists 0 --confirm 0 --json"
DOTS = np.zeros((9, 1, 8, 8), np.uint8)
SPACE = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0)])


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example of the docs, with a data set."""
    (tmp_path / "mine.py").write_text(STRATEGY + DATA)
    for table in (STRATEGIES, DATASETS):
        for name in ("centre", "dots"):
            monkeypatch.setitem(table, name, None)  # type: ignore[arg-type]
            table.pop(name)
    return tmp_path / "mine.py"


def shell(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evogan", *line.split()]
    return forked.run(command, cwd=folder, text=True, env=os.environ | env)


def shell_with_ray(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evogan", *line.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_search_with_a_plugin_is_gone_on_with(mine: Path, tmp_path: Path) -> None:
    """By a process that was told nothing of it."""
    begun = shell(f"search wdcgan --plugin mine.py --strategy centre --evaluations 2 --name own {SMALL}", tmp_path)
    assert begun.returncode == 0, begun.stderr
    assert evogan.open_run("own", tmp_path / "runs").facts.plugins == (str(mine),)
    gone_on = shell("resume own --evaluations 3 --json", tmp_path)
    assert gone_on.returncode == 0, gone_on.stderr
    assert json.loads(gone_on.stdout)["counts"]["evaluations"] == 3
    mine.unlink()
    lost = shell("resume own --evaluations 4", tmp_path)
    assert lost.returncode == 2 and lost.stderr.count("\n") == 1
    assert f"plugin '{mine}' cannot be imported: FileNotFoundError" in lost.stderr


def test_python_and_campaigns_take_plugins(mine: Path, tmp_path: Path) -> None:
    run = evogan.search(
        SPACE,
        objective=lambda genes: float(genes["x"]),
        plugins=[str(mine)],
        strategy="centre",
        evaluations=3,
        workers=1,
    )
    assert all(0.4 <= told.row.genome["x"] <= 0.6 for told in run.history)
    assert run.document["plugins"] == [str(mine)]
    file = tmp_path / "c.toml"
    file.write_text(
        "plugins = ['./mine.py']\ndata = ['dots']\nspaces = ['wdcgan']\nstrategies = ['centre']\nseeds = 1\n"
    )

    assert read_campaign(file).plugins.names == (str(mine),)


def test_without_plugins_the_record_is_as_it_was() -> None:
    run = evogan.search(SPACE, objective=lambda genes: 1.0, strategy="random", evaluations=1, workers=1)
    assert "plugins" not in run.document and run.facts.plugins == ()


def test_an_entry_point_needs_no_option(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(mine.parent)
    monkeypatch.setattr("evogan.plugins.entry_points", lambda group: [EntryPoint("x", "mine", group)])
    assert imported(["mine"]) and Plugins([]).names == ("mine",)  # whoever reads a run of it, too
    assert not imported(["mine", "another"])
    assert "centre" in STRATEGIES and "dots" in DATASETS
    sys.modules.pop("mine")


def test_what_arrives_elsewhere_finds_its_plugin_imported(mine: Path) -> None:
    plugins = Plugins([str(mine)])
    module = next(one for one in [*sys.modules.values()] if getattr(one, "__file__", None) == str(mine))
    sent = pickle.dumps(Plugged(plugins, module.double))
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())(21))"
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True)
    assert done.stdout == b"42\n", done.stderr


FAMILY = """
from dataclasses import replace
from evogan.families.plain.family import PLAIN
from evogan.genes import add_family
from evogan.genome.define import number
other = {}
add_family(replace(PLAIN, **other))
"""
OTHERS = FAMILY.replace("{}", "{'name': 'others', 'genes': (number('clip', 0.0, 1.0, 0.5, '', ''),)}")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_at_all", "cannot be imported: ModuleNotFoundError: No module named 'nothing_at_all'"),
        ("x = (", "cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("from evogan.strategies import *\nadd_strategy('ga', Strategy, '')", "strategy 'ga' exists already"),
        ("from evogan.data import add_dataset\nadd_dataset('mnist', '', None)", "data set 'mnist' exists already"),
        ("from evogan.zoo.backbones import *\nadd_backbone('mlp', None)", "backbone 'mlp' exists already"),
        ("from evogan.zoo.from_genes import *\nadd_loss('ebgan', None)", "loss 'ebgan' exists already"),
        ("from evogan.fitness import *\nadd_measure(None, {'kid': ''})", "metric 'kid' exists already"),
        (FAMILY, "family 'plain' exists already"),
        (OTHERS, "gene 'clip': families 'plain' and 'others' define it differently"),
    ],
)
def test_a_plugin_that_cannot_be_is_one_line(code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(code)
    for named in (str(tmp_path / "wrong.py"), tmp_path / "wrong.py"):
        with pytest.raises(UserError, match=rf"^plugin '{tmp_path}/wrong.py'.*{re.escape(said)}") as told:
            evogan.search(SPACE, objective=lambda genes: 1.0, plugins=[named])
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        (["no_such_module"], "plugin 'no_such_module' cannot be imported"),
        (["../up"], "plugin '../up' is neither the name of a module nor a .py file"),
        (["mine.txt.d/x"], "is neither the name of a module nor a .py file"),
        ([3], "plugins must be a text, not 3"),
        ("mine.py", "plugins must be a list of modules and .py files, not 'mine.py'"),
        (["nowhere.py"], "plugin '.*nowhere.py' cannot be imported: FileNotFoundError"),
    ],
)
def test_what_is_no_plugin_is_one_line(plugins: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        evogan.search(SPACE, objective=lambda genes: 1.0, plugins=plugins)


ON_WORKERS = 'import sys\nif "worker" in sys.argv[0]:\n    raise ValueError("not here")\n'


def test_a_plugin_that_fails_on_a_worker_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shy.py").write_text(ON_WORKERS)
    line = "search wdcgan --plugin shy.py --kimg 0.05 --samples 50 --workers 2 --evaluations 2 --confirm 0"
    done = shell_with_ray(line, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "plugin" in done.stderr and "ValueError: not here" in done.stderr.splitlines()[-1]


# --- parts of GANs. What enters them is imported in processes that end: our own tables stay as they are

TOY = Path(__file__).parent / "toy_family.py"
SMALLEST = SMALL.replace("--data dots --features digits", "--data digits")
SPREAD = """
from evogan.fitness import add_measure
from evogan.zoo.from_genes import add_loss
from evogan.zoo.losses import Judgement


class Spread:
    def __init__(self, reference):
        self.real = float(reference.real.std())

    def measure(self, network, fake):
        return {"spread": abs(float(fake.std()) - self.real)}


add_measure(Spread, {"spread": "difference of the features' standard deviations"})
add_loss("cubic", lambda: Judgement(lambda r, y: (1 - r).abs() ** 3, lambda f, y: f.abs() ** 3, lambda f: -f))
"""


def write_space(folder: Path, **fixed: str) -> str:
    """Of GANs with these genes and some batch size."""
    lines = [f"{name} = '{value}'" for name, value in fixed.items()]
    gene = ["[genes.batch_size]", "kind = 'int'", "low = 4", "high = 8"]
    (folder / "space.toml").write_text("\n".join(["description = 'small'", "[fixed]", *lines, *gene]))
    return "space.toml"


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_family_is_searched_resumed_reported_and_sampled(tmp_path: Path) -> None:
    space = write_space(tmp_path, family="toy")
    begun = shell(f"search {space} --plugin {TOY} --evaluations 2 --name own {SMALLEST}", tmp_path)
    assert begun.returncode == 0, begun.stderr
    gone_on = shell("resume own --evaluations 3 --json", tmp_path)
    assert json.loads(gone_on.stdout)["best"]["genome"]["family"] == "toy", gone_on.stderr
    (tmp_path / "runs" / "own" / "report.html").unlink()
    assert shell("report own", tmp_path).returncode == 0
    assert "toy" in (tmp_path / "runs" / "own" / "report.html").read_text()
    load = f"import evogan; print(*evogan.open_run('own', plugins=[{str(TOY)!r}]).load_best().sample(3).shape)"
    assert forked.run([sys.executable, "-c", load], cwd=tmp_path, text=True).stdout == "3 1 8 8\n"

    unnamed = "import evogan; evogan.open_run('own').load_best()"
    assert "--plugin names a plugin" in forked.run([sys.executable, "-c", unnamed], cwd=tmp_path, text=True).stderr

    generator = next(tmp_path.glob("runs/evaluations/*/*/generator.safetensors"))
    assert shell(f"sample {generator} --plugin {TOY}", tmp_path).returncode == 0
    made = shell(f"export onnx {generator} --to toy.onnx --plugin {TOY}", tmp_path)
    assert made.returncode == 0 and (tmp_path / "toy.md").is_file(), made.stderr
    assert shell(f"train --from {generator} --kimg 0.1 --samples 50 --plugin {TOY}", tmp_path).returncode == 0
    said = one_line(shell(f"sample {generator}", tmp_path))
    assert (
        "gene 'family': 'toy' is not allowed: one of plain, " in said
        and "--plugin names a plugin" in said
        and "damaged" not in said
    )


def test_a_loss_and_a_measure_are_searched_with(tmp_path: Path) -> None:
    (tmp_path / "spread.py").write_text(SPREAD)
    space = write_space(tmp_path, loss="cubic", backbone="mlp")
    line = f"search {space} --plugin spread.py --fitness spread --evaluations 1 --name own {SMALLEST}"
    done = shell(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"]["value"] >= 0
    assert "allowed: fid, " in one_line(shell(line.replace("--fitness spread", "--fitness speed"), tmp_path))
    code = one_line(shell("export code own --plugin spread.py", tmp_path))
    assert code == "evogan: no code is written for loss = cubic\n"


@pytest.mark.parametrize("plugins", [(), ("another.py",)])
def test_what_a_script_enters_itself_is_not_sent_to_workers(plugins: tuple[str, ...], tmp_path: Path) -> None:
    """They would not know it: every training would crash, and be remembered. Nor do they from another plugin."""
    (tmp_path / "another.py").write_text("")
    space = "Space('s', [Gene(name='loss', kind='choice', values=('cubic', 'hinge'))])"
    tiny = {"evaluations": 1, "kimg": 0.05, "samples": 50, "confirm": 0, "plugins": plugins}
    code = f"{SPREAD}\nimport evogan\nfrom evogan import Gene, Space\nevogan.search({space}, workers=2, **{tiny})"
    done = forked.run([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert "UserError: loss 'cubic' is known to this process alone" in done.stderr
    assert not (tmp_path / "runs" / "evogan.db").exists()


def test_what_a_plugin_imports_may_enter_for_it(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(SPREAD)
    (tmp_path / "named.py").write_text("import helper")
    code = """
from evogan.plugins import Plugins, of_scripts
from evogan.genes import add_family
Plugins(["named"])
assert of_scripts() == [], of_scripts()
import toy_family
print(of_scripts())
"""
    (tmp_path / "toy_family.py").write_text(TOY.read_text())
    done = forked.run([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert done.stdout == "[('family', 'toy')]\n", done.stderr


def test_what_crashed_in_a_script_of_a_users_own_is_tried_again(tmp_path: Path) -> None:
    """It is mended, perhaps, where it is entered again."""
    code = """
import evogan
from evogan.zoo.from_genes import add_loss

def loss():
    {}
    from evogan.zoo.losses import Judgement
    return Judgement(lambda r, y: (1 - r).abs() ** 3, lambda f, y: f.abs() ** 3, lambda f: -f)

add_loss("own", loss)
genes = {{"loss": "own", "backbone": "mlp", "filters": 8}}
found = evogan.train(genes, "digits", kimg=0.05, samples=50, features="digits", runs="runs")[0]
print(found.status, found.reason)
"""
    told = [forked.run([sys.executable, "-c", code.format(line)], cwd=tmp_path, text=True) for line in ("rr", "pass")]
    assert "crashed NameError: name 'rr' is not defined" in told[0].stdout, told[0].stderr
    assert "completed" in told[1].stdout, told[1].stderr


def test_what_genomes_may_say_grows_and_their_keys_stay(tmp_path: Path) -> None:
    (tmp_path / "places.py").write_text(BACKBONE)
    (tmp_path / "spread.py").write_text(SPREAD)
    code = """
import sys
from evogan.genes import GENES
from evogan.plugins import Plugins
from evogan.shipped import names, read_genome
genomes = [read_genome(name).genome for name in names("genomes")]
before = [GENES.key(genome) for genome in genomes]
Plugins(sys.argv[1:])
assert [GENES.key(genome) for genome in genomes] == before
print(*(GENES[name].values[-1] for name in ("backbone", "loss", "family")), "brushes" in GENES)
"""
    plugins = ["places.py", "spread.py", str(TOY)]
    done = forked.run([sys.executable, "-c", code, *plugins], cwd=tmp_path, text=True)
    assert done.stdout == "places cubic toy True\n", done.stderr


@pytest.mark.parametrize(
    ("fixed", "needs", "said"),
    [
        ({"family": "toy", "loss": "hinge"}, "", "gene 'loss' never applies: family is toy, not plain"),
        ({"family": "toy"}, "sequences", "family 'toy' needs sequences, which data set 'digits' does not have"),
    ],
)
def test_what_a_family_cannot_be_is_one_line(fixed: dict[str, str], needs: str, said: str, tmp_path: Path) -> None:
    line = f"search {write_space(tmp_path, **fixed)} --plugin {TOY} --evaluations 1 {SMALLEST}"
    assert said in one_line(shell(line, tmp_path, TOY_NEEDS=needs))


def test_workers_know_a_backbone(tmp_path: Path) -> None:
    (tmp_path / "places.py").write_text(BACKBONE)
    space = write_space(tmp_path, backbone="places")
    line = f"search {space} --plugin places.py --evaluations 2 --name own {SMALLEST}"
    done = shell_with_ray(line.replace("--workers 1", "--workers 2"), tmp_path)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert (counts["evaluations"], counts["failed"]) == (2, 0)


def test_what_crashed_in_a_plugin_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    """It may have been mended; and of the genome itself nothing is known."""
    space = write_space(tmp_path, loss="wasserstein")
    plugin = tmp_path / "mine.py"
    search = f"search {space} --evaluations 2 {SMALLEST} --references none"
    plugin.write_text(SPREAD.replace("fake.std()", "fake.sdt()"))
    broken = shell(f"{search} --plugin mine.py --fitness spread --name broken", tmp_path)
    assert broken.returncode == 1 and "2 failed" in broken.stderr, broken.stderr
    plugin.write_text(SPREAD)
    mended = shell(f"{search} --plugin mine.py --fitness spread --name mended", tmp_path)
    assert mended.returncode == 0 and "2 evaluated, 0 cached, 0 failed" in mended.stderr, mended.stderr
    again = shell(f"{search} --plugin mine.py --fitness spread --name again", tmp_path)
    assert again.returncode == 0 and "2 cached" in again.stderr, again.stderr


def test_that_results_of_an_edited_plugin_answer_is_said_once(mine: Path, tmp_path: Path) -> None:
    search = f"wdcgan --plugin mine.py --strategy centre --evaluations 2 {SMALL}".replace("--json", "")

    def said(command: str) -> str:
        done = shell(command, tmp_path)
        assert done.returncode == 0, done.stderr
        return "".join(line for line in done.stderr.splitlines() if "has changed" in line)

    assert said(f"search {search} --name own") == ""
    assert said(f"search {search} --name same") == ""
    mine.write_text(mine.read_text() + "\n# another\n")
    assert said("resume own --evaluations 3").startswith(
        f"plugin '{mine}' has changed since run 'same': what completed"
    )
    assert said("resume own --evaluations 4") == said(f"search {search} --name next") == ""
    mine.write_text(mine.read_text() + "\n# a third\n")
    assert "has changed since run" in said(f"search {search} --name last")
    assert said(f"search {search} --name last") == ""


def test_a_file_that_was_edited_after_its_import_is_said(mine: Path) -> None:
    """Its old code would run, and be recorded as the new one."""
    first = Plugins([str(mine)]).check()
    sent = pickle.dumps(first)
    mine.write_text(mine.read_text() + "\n# another\n")
    with pytest.raises(UserError, match="was edited after this process had imported it: start another one"):
        evogan.search(SPACE, objective=lambda genes: 1.0, plugins=[str(mine)])
    assert imported([str(mine)]), "what reads a run needs no other"
    code = f"import pickle, sys; pickle.loads(bytes.fromhex('{sent.hex()}'))"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is not what the search began with" in elsewhere.stderr, "on a worker that came later"


def test_one_that_fails_halfway_is_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that fails before it enters anything is tried again."""
    monkeypatch.setitem(STRATEGIES, "centre", None)  # type: ignore[arg-type]
    STRATEGIES.pop("centre")
    early, late = tmp_path / "early.py", tmp_path / "late.py"
    early.write_text(f"raise RuntimeError\n{STRATEGY}")
    with pytest.raises(UserError, match="cannot be imported: RuntimeError"):
        Plugins([str(early)])
    early.write_text("x = 1")
    Plugins([str(early)])
    late.write_text(f"{STRATEGY}\nraise RuntimeError")
    with pytest.raises(UserError, match="cannot be imported: RuntimeError"):
        Plugins([str(late)])
    late.write_text(STRATEGY)
    with pytest.raises(UserError, match="came to harm halfway in this process: start another one"):
        Plugins([str(late)])


def test_a_plugin_that_has_moved_is_named_anew(mine: Path, tmp_path: Path) -> None:
    begun = shell(f"search wdcgan --plugin mine.py --strategy centre --evaluations 2 --name own {SMALL}", tmp_path)
    assert begun.returncode == 0, begun.stderr
    (tmp_path / "new").mkdir()
    mine.rename(tmp_path / "new" / "mine.py")
    lost = shell("resume own --evaluations 3", tmp_path)
    assert lost.returncode == 2 and "mine.py' cannot be imported" in lost.stderr
    found = shell("resume own --evaluations 3 --plugin new/mine.py", tmp_path)
    assert found.returncode == 0, found.stderr
    again = shell("resume own --evaluations 4", tmp_path)
    assert again.returncode == 0, again.stderr  # it is recorded where it is now


def test_a_file_takes_the_place_of_one_of_its_name_that_is_gone(tmp_path: Path) -> None:
    """The only one."""
    assert without(["/x/a.py", "/x/b.py", "module"], ["/y/a.py", "/x/b.py"]) == ["module"]
    assert without(["/x/a.py", "/z/a.py"], ["/y/a.py"]) == ["/x/a.py", "/z/a.py"]
    assert without(["/x/a.py"], ["/y/a.py", "/z/a.py"]) == ["/x/a.py"]
    here, there = tmp_path / "here" / "namesake.py", tmp_path / "there" / "namesake.py"
    for file in (here, there):
        file.parent.mkdir()
        file.write_text("x = 1")
    Plugins([str(here)])
    assert imported([str(here)]) and not imported([str(there)])
    there.unlink()
    assert imported([str(there)])


def test_a_package_is_all_of_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "packed_plugin" / "inner.py"
    inner.parent.mkdir()
    (inner.parent / "__init__.py").touch()
    inner.write_text("A = 1")
    monkeypatch.syspath_prepend(tmp_path)
    before = Plugins(["packed_plugin"]).check().digests
    inner.write_text("A = 2")
    with pytest.raises(UserError, match="was edited"):
        Plugins(["packed_plugin"]).check()
    assert Plugins(["packed_plugin"]).digests == before


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "measure Own returned None, not named numbers"),
        ({"own": "much"}, "measure Own returned 'own' = 'much', not a number"),
        ({"own": np.ones(3)}, "measure Own returned 'own' = array"),
        ({"own": 1.0, "fid": 0.0}, "measure Own returned 'fid', which another one measures"),
    ],
)
def test_what_a_measure_returns_is_read(answer: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is of no use is the plugin's fault, so that it answers no other run."""

    class Own:
        def __init__(self, reference: Reference) -> None: ...

        def measure(self, network: Features, fake: torch.Tensor) -> Any:
            return told

    monkeypatch.setitem(MEASURES, Own, {"own": ""})
    scorer, images = Scorer(load_dataset(DataSpec("digits")), load_features("digits"), 50), torch.zeros(50, 1, 8, 8)
    told: Any = {"own": torch.tensor(2.0)}
    assert type(scorer.score([images])["own"]) is float
    told = answer
    with pytest.raises(Unusable, match=said) as caught:
        scorer.score([images])
    assert at_fault(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((9, 1, 8, 8)), r"float64 \(9, 1, 8, 8\), not uint8"),
        (np.zeros((9, 8, 8, 3), np.uint8), r"uint8 \(9, 8, 8, 3\), not uint8 \(N, 1 or 3, H, W\)"),
        (np.zeros((9, 8, 8), np.uint8), r"uint8 \(9, 8, 8\), not"),
        (None, "its plugin gave None, not a Dataset"),
    ],
)
def test_images_of_a_plugin_are_in_form(given: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = given if given is None else image_dataset("own", given, None, given, None)
    monkeypatch.setitem(DATASETS, "own", "")
    monkeypatch.setitem(_ADDED, "own", lambda spec: data)
    with pytest.raises(UserError, match=said):
        load_dataset(DataSpec("own"))


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (lambda spec: image_dataset("own"), "data set 'own': its plugin failed: TypeError: image_dataset"),  # type: ignore[call-arg]
        (lambda spec: 1 / 0, "data set 'own': its plugin failed: ZeroDivisionError: division by zero"),
        (
            lambda spec: image_dataset("own", DOTS, np.full(9, 5), DOTS, np.full(9, 5)),
            "its plugin gave labels 5 ...: they must be 0, 1, ... without gaps",
        ),
        (
            lambda spec: image_dataset("own", DOTS, np.arange(9) % 2 * 1.0, DOTS, np.arange(9) % 2 * 1.0),
            "its plugin gave labels 0.0, 1.0 ...: they must be",
        ),
    ],
)
def test_data_that_a_plugin_fails_to_give_are_one_line(load: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "own", "")
    monkeypatch.setitem(_ADDED, "own", load)
    with pytest.raises(UserError, match=re.escape(said)):
        load_dataset(DataSpec("own"))


def test_the_data_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "noise", "")
    DATASETS.pop("noise")
    (tmp_path / "noise.py").write_text(NOISE)
    Plugins([str(tmp_path / "noise.py")])
    data = load_dataset(DataSpec("noise"))
    assert data.images.shape == (1000, 1, 16, 16) and data.class_count == 10 and len(data.held_out) == 200


def test_a_file_of_a_plugins_gan_is_not_called_damaged(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(BACKBONE)
    trained = f"train wdcgan --set backbone={re.findall(r'add_backbone..([a-z]+)', BACKBONE)[0]}"
    done = shell(f"{trained} --plugin parts.py --kimg 0.05 --samples 50 --json", tmp_path)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "runs" / "evaluations").rglob("generator.safetensors")
    seen = shell(f"sample {file}", tmp_path)
    assert seen.returncode == 2 and "damaged" not in seen.stderr and "--plugin names a plugin" in seen.stderr
    assert shell(f"sample {file} --plugin parts.py", tmp_path).returncode == 0
