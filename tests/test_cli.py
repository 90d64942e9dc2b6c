"""The command line: what it prints, and one clear line with exit code 2 for every mistake."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from evogan import cli, load, open_run
from evogan.cli.common import say
from evogan.engine.executors.on_ray import RayExecutor
from tests import forked
from tests.conftest import NARROW

SMALL = "--kimg 0.1 --samples 100 --workers 1 --evaluations 2 --finalists 1 --confirm 1"
Run = Callable[..., "Result"]


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Call the command line as a shell would, in an empty folder."""

    def call(command: str, *more: str) -> Result:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["evogan", *command.split(), *more])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished search."""
    runs = tmp_path_factory.mktemp("searched")
    command = [sys.executable, "-m", "evogan", "search", "wdcgan", *SMALL.split(), "--name", "small", "--json"]
    done = forked.run([*command, "--runs", str(runs)], text=True)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["best"]["value"] > 0
    assert Path(document["report"]).is_file()
    return runs


def test_a_space_is_changed_in_the_command(run: Run, tmp_path: Path) -> None:
    command = f"search {NARROW} --set filters=4 --set critic_steps=1..2 --set slope=0.1,0.2 {SMALL} --confirm 0"
    assert run(command, "--name", "small", "--strategy", "random").code == 0
    frame = open_run("small", tmp_path / "runs").to_dataframe()
    assert set(frame["gene_filters"]) == {4} and {*frame["gene_critic_steps"]} <= {1, 2}
    assert {*frame["gene_slope"]} <= {0.1, 0.2}
    wrong = run(f"search {NARROW} --set clips=1")
    assert wrong.code == 2 and "did you mean 'clip'" in wrong.err and wrong.err.count("\n") == 1


def mistake(result: Result, *parts: str) -> None:
    assert result.code == 2
    assert result.err.startswith("evogan: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    assert result.out == ""
    for part in parts:
        assert part in result.err


@pytest.mark.parametrize("command", [[], ["search"]])
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    also = set() if command else {"pydantic"}  # which typer wants for a command
    code = (
        f"import sys; sys.argv = {['evogan', *command, '--help']}\n"
        "from evogan.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"heavy = {{'torch', 'numpy', 'ray', 'sqlalchemy', 'pandas', 'optuna', 'deap'}} | {also}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Evolve " in done.stdout


@pytest.mark.parametrize("command", ["", "campaign", "features", "bench"])
def test_without_a_command_there_is_help(run: Run, command: str) -> None:
    result = run(command)
    assert result.code == 2 and result.err.startswith("Usage: ") and "\nCommands:\n" in result.err


def test_a_path_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("runs[/b]/old[b]:smile:/report.html")
    assert capsys.readouterr().out == "runs[/b]/old[b]:smile:/report.html\n"


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("search wdgan", ("unknown space 'wdgan'", "did you mean 'wdcgan'")),
        ("search wdcgan --strategy atuo", ("did you mean 'auto'", "random")),
        ("search wdcgan --strategy gaa", ("unknown strategy 'gaa'", "did you mean 'ga'", "random")),
        ("search wdcgan --strategy ga --option populaton=4", ("'populaton'", "did you mean 'population'")),
        ("search wdcgan --option population", ("write name=value",)),
        ("search wdcgan --data digts", ("unknown data set 'digts'", "did you mean 'digits'")),
        ("search wdcgan --data no/where", ("no/where",)),
        ("search wdcgan --data mnist --data-dir nowhere", ("nowhere", "--download", "EVOGAN_DATA")),
        ("search wdcgan --fitness fdi", ("unknown fitness 'fdi'", "did you mean 'fid'")),
        ("search wdcgan --fitness duplicates", ("'duplicates' is measured no more", "'collision' takes its place")),
        ("search wdcgan --fitness fid,kid,fid", ("fitness 'fid,kid,fid' names a metric twice",)),
        (f"search wdcgan --name {'long' * 60}", ("run name 'longlong", "has 240 characters, more than 200")),
        ("search wdcgan --workers 2 --window 0", ("window must be at least 1",)),
        ("search wdcgan --score middle", ("unknown score 'middle'", "best", "last")),
        ("search wdcgan --image-size 30", ("image size 30", "divisible by 4")),
        ("search wdcgan --device cuda:1 --workers 2", ("cuda:1 is for one worker", "CUDA_VISIBLE_DEVICES=1")),
        ("search wdcgan --device cuda:99 --workers 1", ("device 'cuda:99' is not there",)),
        ("search wdcgan --device tpu9", ("unknown device 'tpu9'",)),
        ("search wdcgan --precision fp8", ("unknown precision 'fp8'",)),
        ("search wdcgan --kimg 0", ("kimg must be above 0",)),
        ("search wdcgan --target inf", ("target must be a finite number, not inf",)),
        ("search wdcgan --target low", ("'--target'", "valid number")),
        ("train wdcgan --kimg 3 --iterations 3", ("kimg and iterations are both given",)),
        ("search wdcgan --kimg nan", ("kimg must be a number, not nan",)),
        ("search wdcgan --samples 1", ("samples must be at least 2",)),
        ("search wdcgan --image-size 0", ("image_size must be at least 4",)),
        ("search wdcgan --device mps", ("unknown device 'mps'", "cuda")),
        ("search wdcgan --kmig 3", ("--kmig",)),
        ("search", ("space",)),
        ("search wdcgan --evaluations many", ("'--evaluations'", "integer")),
        ("search wdcgan --evaluations 0", ("evaluations must be at least 1",)),
        ("search wdcgan --workers 0", ("workers must be at least 1",)),
        ("search wdcgan --classes five", ("data set 'digits': unknown class 'five'", "allowed: 0, 1, 2")),
        ("search wdcgan --classes 11", ("unknown class '11'",)),
        ("search wdcgan --features mnits", ("unknown features 'mnits'", "did you mean 'mnist'")),
        ("search wdcgan --name ../up", ("run name '../up'",)),
        ("search wdcgan --name evogan.db", ("run name 'evogan.db' is taken",)),
        ("train wdgcan", ("unknown genome 'wdgcan'", "did you mean 'wdcgan'")),
        ("train wdcgan --set filter=3", ("unknown gene 'filter'", "did you mean 'filters'")),
        ("train wdcgan --set clip=99", ("gene 'clip': 99 is not allowed", "0.0001 to 10")),
        ("train ebgan --set gradient_penalty=two_sided", ("gene 'gradient_penalty' applies only when loss is",)),
        ("train sngan --set clip=0.1", ("gene 'clip' applies only when critic_constraint is clip",)),
        ("train wgan_gp --set critic_norm=batch", ("critic_norm = batch with gradient_penalty = two_sided",)),
        ("train stylegan --set loss=began", ("an autoencoder as critic is built with the other backbones only",)),
        ("train sngan_resnet --set attention=quarter", ("attention = quarter", "image size 8")),
        ("train sngan --image-size 30", ("image size 30", "sndcgan makes sizes 8, 10, 12")),
        ("search autogan_cells --image-size 30", ("image size 30", "autogan makes sizes")),
        ("search wdcgan --space wdcgan_wide", ("name one space",)),
        ("search --space anythin", ("unknown space 'anythin'", "did you mean 'anything'")),
        ("search wdcgan --order finish", ("unknown order 'finish'", "number", "completion")),
        ("search wdcgan --pruner meadian", ("unknown pruner 'meadian'", "did you mean 'median'")),
        ("search wdcgan --log-level loud", ("unknown log level 'loud'", "debug", "warning")),
        ("search wdcgan --workers -1", ("workers must be at least 1, not -1",)),
        ("search wdcgan --workers two", ("'--workers'", "integer")),
        ("search wdcgan --gpus-per-trial 0", ("--gpus-per-trial '0'", "0.125", "auto")),
        ("search wdcgan --gpus-per-trial -1", ("--gpus-per-trial '-1'",)),
        ("search wdcgan --gpus-per-trial nan", ("--gpus-per-trial 'nan'",)),
        ("search wdcgan --gpus-per-trial half", ("--gpus-per-trial 'half'",)),
        ("search wdcgan --gpus-per-trial 1.5", ("must be a share in (0, 1], a whole number, or auto, not 1.5",)),
        ("search wdcgan --gpus-per-trial 1", ("gpus_per_trial needs device cuda",)),
        ("search wdcgan --memory-per-trial 0", ("memory_per_trial must be above 0",)),
        ("search wdcgan --memory-per-trial -2", ("memory_per_trial must be above 0",)),
        ("search wdcgan --time-limit 0", ("time_limit must be above 0",)),
        ("search wdcgan --time-limit inf", ("time_limit must be at most 1000000000, not inf",)),
        ("search wdcgan --stall-limit -1", ("stall_limit must be above 0",)),
        ("search wdcgan --stall-limit nan", ("stall_limit must be a number, not nan",)),
        ("search wdcgan --retries -1", ("retries must be at least 0, not -1",)),
        ("search wdcgan --ray ..:6379", ("host:port", "not '..:6379'")),
        ("search wdcgan --ray somewhere", ("host:port", "not 'somewhere'")),
        ("search wdcgan --ray 127.0.0.1:1", ("Ray at 127.0.0.1:1 cannot be reached", "refused")),
        ("search wdcgan --name a/b", ("run name 'a/b'",)),
        ("search wdcgan --name ..", ("run name '..'",)),
        ("search wdcgan --name /etc", ("run name '/etc'",)),
        ("resume nothing", ("no store in '/", "/runs'")),
        ("resume ../up", ("no store in '/", "/runs'")),
        ("status nothing", ("run 'nothing' has no status in '/", "/runs/nothing'")),
        ("status ../up", ("run name '../up'",)),
        ("status /etc", ("run name '/etc'",)),
        ("runs", ("no store in '/", "/runs'")),
        ("show nothing", ("no store in '/", "/runs'")),
        ("report nothing", ("no store in '/", "/runs'")),
        ("sample nothing", ("unknown generator 'nothing'", "evolved_mnist")),
        ("sample nothing.safetensors", ("no file 'nothing.safetensors'",)),
        ("sample nothing.safetensors -o x.tif", ("output 'x.tif'", ".png")),
        ("evaluate nothing.safetensors", ("no file 'nothing.safetensors'",)),
        ("features train digts", ("unknown data set 'digts'",)),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(
    run: Run, tmp_path: Path, command: str, parts: tuple[str, ...]
) -> None:
    mistake(run(command), *parts)
    assert list(tmp_path.iterdir()) == []


def test_a_ray_that_does_not_answer_is_given_up(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evogan.engine.executors.cluster.ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        mistake(run(f"search wdcgan --ray {address}"), f"nothing answers at {address} within 0.2 s")
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_nothing_is_begun(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    mistake(run("search wdcgan --tensorboard"), "tensorboard is not installed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["search wdcgan", "resume nothing", "show nothing", "runs"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://evogan:hunter2@127.0.0.1:1/evogan", "evogan@127.0.0.1:1/evogan"),
        ("mysql://evogan:hunter2@127.0.0.1/evogan", "begins with 'mysql://'"),
        ("evogan:hunter2@127.0.0.1", "looks like postgresql://"),
    ],
)
def test_a_wrong_store_is_one_line_without_the_password(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, url: str, said: str
) -> None:
    def never(self: RayExecutor) -> None:
        raise AssertionError("workers for a store that there is not")

    monkeypatch.setattr(RayExecutor, "start", never)
    monkeypatch.setenv("EVOGAN_STORE", url)
    for more in ((), ("--store", url)):
        result = run(command, *more)
        mistake(result, said)
        assert "hunter2" not in result.err
        monkeypatch.delenv("EVOGAN_STORE", raising=False)
    assert list(tmp_path.iterdir()) == []


def test_names_do_not_lead_out_of_the_runs_folder(run: Run, searched: Path) -> None:
    """Where there is a store to ask."""

    def files() -> set[Path]:
        return {path for path in searched.rglob("*") if path.suffix not in (".db-shm", ".db-wal")}  # SQLite's own

    before = files()
    for name in ("../small", str(searched / "small"), "small/../small", ".", ""):
        for command in ("resume", "show", "report"):
            mistake(run(f"{command} --runs {searched}", name), f"unknown run '{name}'")
        mistake(run(f"status --runs {searched}", name), f"run name '{name}'")
        if name:
            mistake(run(f"search wdcgan {SMALL} --runs {searched} --name", name), f"run name '{name}'")
    assert files() == before


def test_files_that_are_not_what_they_should_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("[genes.clip\n")
    mistake(run("search ./space.toml"), "space.toml", "line 1")
    (tmp_path / "genome.toml").write_text("[gnes]\nclip = 0.1\n")
    mistake(run("train ./genome.toml"), "genome.toml", "unknown field 'gnes'", "did you mean 'genes'")
    (tmp_path / "genome.toml").write_text("[genes]\nclip = 'much'\n")
    mistake(run("train ./genome.toml"), "genome.toml", "gene 'clip': 'much' is not allowed")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 cut short")
    mistake(run("search wdcgan --data broken.npz"), "broken.npz")
    (tmp_path / "empty").mkdir()
    mistake(run("search wdcgan --data ./empty"), "empty")
    (tmp_path / "mixed").mkdir()
    for i, size in enumerate([8, 12] * 10):
        Image.new("L", (size, size)).save(tmp_path / "mixed" / f"{i:02}.png")
    mistake(run("search wdcgan --data ./mixed"), "8x8", "12x12", "--image-size")
    (tmp_path / "weights.safetensors").write_bytes(b"\x00" * 64)
    mistake(run("sample weights.safetensors"), "weights.safetensors")
    for header in ("no json", "{}", '{"genome": {"filters": 8}, "image_size": 8, "channels": 1}'):
        (tmp_path / "w.safetensors").write_bytes(save({"a": torch.zeros(1)}, metadata={"evogan.generator": header}))
        mistake(run("sample w.safetensors"), "'w.safetensors' is damaged")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "evogan.db").write_bytes(b"no database" * 1000)
    mistake(run("runs"), "evogan.db", "not a database")


def test_a_full_disk_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    mistake(run("search wdcgan"), "no room in '/", "/runs'")
    assert list(tmp_path.iterdir()) == []


def test_another_space_under_an_old_name_is_refused(run: Run, searched: Path) -> None:
    result = run(f"search wdcgan_wide {SMALL} --name small --runs {searched}")
    mistake(result, "run 'small' was started with another space.name: wdcgan, not wdcgan_wide")
    mistake(run(f"search wdcgan {SMALL} --seed 1 --name small --runs {searched}"), "another seed: 0, not 1")
    mistake(run(f"resume smal --runs {searched}"), "unknown run 'smal'", "did you mean 'small'")


def test_the_same_search_again_trains_nothing(run: Run, searched: Path) -> None:
    again = run(f"search wdcgan {SMALL} --name small --runs {searched}")
    assert again.code == 0
    assert "0 evaluated, 2 cached, 0 failed" in again.err
    assert "report" in again.out


def test_looking_at_runs(run: Run, searched: Path) -> None:
    assert "small" in run(f"runs --runs {searched}").out
    (listed,) = json.loads(run(f"runs --json --runs {searched}").out)
    shown = json.loads(run(f"show small --json --runs {searched}").out)
    assert listed == shown
    assert shown["counts"]["evaluations"] == 2
    assert {c["name"] for c in shown["confirmations"]} >= {"wdcgan"}
    assert "learning_rate" in run(f"show small --runs {searched}").out
    assert run(f"report small --runs {searched}").out.strip().endswith("report.html")


def test_a_run_is_sampled_by_its_name(run: Run, searched: Path, tmp_path: Path) -> None:
    best = open_run("small", searched).file_of_best()
    for name in (f"small --runs {searched}", best.parent, best):
        assert run(f"sample {name} -o {tmp_path / 'some.npz'} -n 5").code == 0
        images = np.load(tmp_path / "some.npz")["images"]
        assert np.array_equal(images, ((load(best).sample(5) + 1) * 127.5).round().byte().numpy())
    scored = [
        json.loads(run(f"evaluate {name} --samples 100 --json").out) for name in (best, f"small --runs {searched}")
    ]
    assert scored[0] == scored[1]
    mistake(run(f"sample smal --runs {searched}"), "unknown run or generator 'smal': did you mean 'small'")


def test_train_sample_and_evaluate(run: Run, tmp_path: Path) -> None:
    budget = "--kimg 0.1 --samples 100 --set filters=8 --json"
    done = run(f"train wdcgan {budget}")
    assert done.err.startswith("digits: 1,442 images of 8x8, grey, 355 held out; 10 classes: 0 (143), 1 (146), ")
    trained = json.loads(done.out)
    assert trained["status"] == "completed"
    generator = f"{trained['files']}/generator.safetensors"
    assert run(f"sample {generator} -n 10 -o ten.png").code == 0
    assert Image.open(tmp_path / "ten.png").size[0] > 64
    assert run(f"sample {generator} -n 10 -o ten.npz").code == 0
    images = np.load(tmp_path / "ten.npz")["images"]
    assert images.shape == (10, 1, 8, 8)
    assert images.dtype == np.uint8
    scored = run(f"evaluate {generator} --samples 200 --classes 3,5 --json")
    assert "2 classes: 3 (147), 5 (146)\n" in scored.err
    assert json.loads(scored.out)["fid"] > 0
    mistake(run(f"evaluate {generator} --image-size 16"), "makes 8x8 images", "16x16")


def test_train_says_why(run: Run) -> None:
    """A critic whose rate is 1e-8 stands still."""
    slow = "--kimg 0.1 --samples 100 --set filters=8 --set learning_rate=1e-8"
    said = run(f"train wdcgan {slow}").out
    assert "vanishing gradient: all steps of the critic together move no layer by more than" in said
    document = json.loads(run(f"train wdcgan {slow} --json").out)
    assert "vanishing_gradient" in document["flags"]
    assert document["why"][0].startswith("vanishing gradient: ")
    assert set(document["diagnostics"][0]) == {"critic", "generator"}


def test_evaluate_agrees_with_training(run: Run) -> None:
    """Fresh noise, the same generator: the FID differs by sampling noise only."""
    trained = json.loads(run("train wdcgan --kimg 0.1 --samples 3000 --set filters=8 --json").out)
    scored = json.loads(run(f"evaluate {trained['files']}/generator.safetensors --samples 3000 --json").out)
    best = min(point["fid"] for point in trained["scores"])
    assert abs(scored["fid"] / best - 1) < 0.05


def test_lists(run: Run) -> None:
    assert "wdcgan_wide" in run("spaces").out
    assert {space["name"] for space in json.loads(run("spaces --json").out)} >= {"wdcgan", "wdcgan_wide"}
    assert "WDCGAN" in run("zoo").out
    assert json.loads(run("zoo --json").out)[0]["source"]
    assert json.loads(run("genes --json").out)["clip"]["default"] == 0.01
    assert "critic_steps" in run("genes").out
    assert json.loads(run("strategies --json").out)["ga"]["population"] == 20
    assert "Goldberg" in run("strategies").out
    assert "x_r1 + F (x_r2 - x_r3)" in run("strategies de").out
    assert {row["name"] for row in json.loads(run("features list --json").out)} == {"digits", "mnist", "fashion_mnist"}
    assert "digits" in run("features list").out


def test_training_a_feature_network(run: Run, tmp_path: Path) -> None:
    result = run("features train digits -o mine.safetensors --epochs 1")
    assert result.code == 0
    assert "of held-out images right" in result.out
    trained = run("train wdcgan --kimg 0.1 --samples 100 --set filters=8 --features mine.safetensors --json")
    assert json.loads(trained.out)["status"] == "completed"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--strategy ga --option population=1", "population must be at least 2"),
        ("--strategy cma-es --option sigma=0", "sigma must be above 0"),
        ("--strategy ga --option popsize=9", "unknown option of strategy 'ga' 'popsize'"),
        ("--strategy ga --fitness fid,parameters", "'ga' takes one objective"),
        ("--fitness fid,size", "unknown fitness 'size'"),
        ("--strategy hyperband --option fidelities=0.25,0.5", "fidelities must end at 1"),
        ("--strategy dehb --option fidelities=0.5,0.25,1", "fidelities must rise"),
        ("--replicates 0", "replicates must be at least 1"),
        ("--race", "a race needs at least 2 replicates"),
        ("--race --replicates 2 --fitness fid,kid", "a race is of one objective"),
        ("--replicates 2 --average mode", "unknown average 'mode'"),
        ("--seed-genomes nothing", "unknown seed genome 'nothing'"),
    ],
)
def test_a_wrong_search_is_one_line(run: Run, options: str, said: str) -> None:
    mistake(run(f"search wdcgan {SMALL} {options}"), said)


def test_a_seed_outside_the_space_names_its_gene(run: Run, tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("[genes]\nfilters = 4096\n")
    mistake(run(f"search wdcgan {SMALL} --seed-genomes wide.toml"), "wide.toml", "filters")
    (tmp_path / "other.toml").write_text('[genes]\ncritic_norm = "layer"\n')
    mistake(run(f"search wdcgan {SMALL} --seed-genomes other.toml"), "'critic_norm' = layer lies outside space")


def test_moved_seeds_are_said_and_the_front_is_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "near.toml").write_text("[genes]\nslope = 0.21\nclip = 0.011\n")
    front = run(f"search wdcgan {SMALL} --name two --fitness fid,parameters --seed-genomes near.toml --json")
    assert "seed near.toml: clip 0.011 -> " in front.err
    document = json.loads(front.out)
    assert document["strategy"] == "assisted"
    assert all(set(one["values"]) == {"fid", "parameters"} for one in document["front"])
    shown = run("show two")
    assert "Pareto front" in shown.out
