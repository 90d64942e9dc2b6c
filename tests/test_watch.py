"""The live page in a real browser: it is alive, says nothing to the console, runs no text as markup, and can be used
by keyboard. What serves it serves nothing else, to nobody else, and writes nothing.
"""

from __future__ import annotations

import http.client
import io
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from evogan import search
from evogan.engine import Broker, Event, LocalExecutor, Loop, Store
from evogan.engine.history import RunHistory
from evogan.engine.live import RUN, Live, Now, trial_name
from evogan.errors import UserError
from evogan.genome import Gene
from evogan.monitor import StatusWriter
from evogan.space import Space, load_space
from evogan.strategies import make_strategy
from evogan.trial import Evaluation, Task, Trial
from tests import test_cli
from tests.conftest import TASK
from tests.test_cli import mistake
from tests.test_report import GAN_TASK, fake_gan, make_run, png

shell = test_cli.run
watch = pytest.importorskip("evogan.watch.serve", reason="the extra 'watch' is not installed")
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"
HOSTILE = "<img src=x onerror=alert(3)>'\""  # a run's name: a store may be from anywhere


def gan(trial: Trial) -> Evaluation:
    """A made-up GAN with grids through training."""
    found = fake_gan(trial)
    names = [f"samples-{percent}.png" for percent in (25, 50, 75, 100)] if found.scores else []
    return replace(found, files={**found.files, **{name: png(trial.seed % 256) for name in names}})


@contextmanager
def served(store: Store, **more: Any) -> Iterator[str]:
    """A server of the store in a thread: where it is."""
    there, end = [], threading.Event()
    ready = threading.Event()

    def at(address: str) -> None:
        there.append(address.rstrip("/"))
        ready.set()

    arguments = {"port": 8790, "at": at, "until": end.wait, **more}
    thread = threading.Thread(target=lambda: watch.serve(store, **arguments))
    thread.start()
    try:
        assert ready.wait(30)
        yield there[0]
    finally:
        end.set()
        thread.join()


@contextmanager
def tab(browser: Any, width: int = 1280) -> Iterator[Any]:
    """A page that must say nothing to the console, and open no dialog."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    yield page
    page.close()
    assert said == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a genetic algorithm, and one that is hostile in whatever is text."""
    folder = tmp_path_factory.mktemp("watched")
    store = Store(folder)
    make_run(store, load_space("wdcgan_wide"), gan, evaluations=40, strategy="ga", name="evolved", fresh=0)
    gene = Gene(name=MARKUP, kind="choice", values=(MARKUP, "b&b", *"cdefg"))

    def bad(trial: Trial) -> Evaluation:
        return Evaluation(status="crashed", reason=f"ValueError: {MARKUP}")

    make_run(
        store, Space(MARKUP, [gene]), bad, task=Task(name=MARKUP), gan=None, fitness=MARKUP, evaluations=5, name=HOSTILE
    )
    store.close()
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with served(Store.existing(folder)) as address:
        yield address


def ask(site: str, path: str, method: str = "GET", host: str | None = None) -> tuple[int, bytes]:
    where = urlsplit(site)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", where.netloc if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


# --- in a browser


def test_a_page_shows_an_evaluation_when_it_comes(browser: Any, tmp_path: Path) -> None:
    store, space = Store(tmp_path), load_space("wdcgan_wide")
    make_run(store, space, gan, evaluations=4, name="r", fresh=0)

    def go_on(evaluations: int) -> None:
        history = RunHistory(store, "r")
        strategy = make_strategy("random", space, 3)
        broker = Broker(store, LocalExecutor(gan))
        Loop("r", space, strategy, GAN_TASK, history.judge, broker, seed=3, evaluations=evaluations, window=8).go()

    with served(Store.existing(tmp_path), start="r") as site, tab(browser) as page:
        page.goto(site)
        assert page.url == f"{site}/runs/r"
        page.wait_for_selector("#link.on")
        page.wait_for_timeout(50)
        before = page.locator(".tile").count()
        page.locator(".tile").nth(1).focus()
        focused = page.evaluate("document.activeElement.dataset.key")
        go_on(7)
        page.locator(".tile").nth(before + 1).wait_for()
        assert page.evaluate("document.activeElement.dataset.key") == focused, "what is looked at stays"
        assert "genomes" in page.locator("#head").inner_text()
        assert page.locator("#best svg path").count() > 3

        trial = Trial(RunHistory(store, "r").best.row.genome, "now", TASK, number=99)  # type: ignore[union-attr]
        writer = StatusWriter(tmp_path / "r" / "status.json", "r", RunHistory(store, "r").judge, 40)
        writer(Event("started", trial, where="node 10.0.0.2, gpu 0"))
        writer(Event("progress", trial, point={"kimg": 1.0, "fidelity": 0.25, "fid": 77.5}))
        points = [{"kimg": float(i), "real": 1.0 / i, "fake": 0.5, "fid": 77.5} for i in range(1, 5)]
        name = trial_name(("now", RunHistory(store, "r").facts.task, 1.0, 0))
        Live(store.database).write("r", {RUN: Now(asdict(writer.status())), name: Now({"points": points}, png(80))})
        page.wait_for_selector("#now article img")
        assert page.evaluate("document.querySelector('#now article img').decode().then(() => true)")
        said = page.locator("#now").inner_text()
        assert all(text in said for text in ("#99", "node 10.0.0.2, gpu 0", "FID 77.5", "fake 0.5", "25"))
        assert page.locator("#now svg").count() == 1
    store.close()


def test_text_is_text(browser: Any, site: str) -> None:
    with tab(browser) as page:
        for path in ("/", f"/runs/{quote(HOSTILE)}", f"/runs/{quote(HOSTILE)}/genomes/1"):
            page.goto(site + path)
            page.wait_for_load_state()
            assert page.evaluate("document.querySelectorAll('body script, img[src=\"x\"], [onerror]').length") == 0
            assert HOSTILE in page.inner_text("body")
        page.goto(f"{site}/runs/{quote(HOSTILE)}")
        page.wait_for_selector("#link.on")
        page.wait_for_timeout(1200)  # what is put in its place later is none either
        assert f"ValueError: {MARKUP}" in page.inner_text("#failures")
        assert page.evaluate("document.querySelectorAll('body script, img[src=\"x\"], [onerror]').length") == 0
        page.goto(f"{site}/runs/{quote(HOSTILE)}/beside?a=0&b=1")
        assert MARKUP in page.inner_text("body")


def test_by_keyboard_and_on_a_phone(browser: Any, site: str) -> None:
    with tab(browser, 400) as page:
        page.goto(f"{site}/runs/evolved")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.keyboard.press("b")
        page.wait_for_url("**order=best**")
        figures = [float(text.split()[-1]) for text in page.locator(".tile b").all_inner_texts() if "FID" in text]
        assert len(figures) > 10 and figures == sorted(figures)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        first, second = (page.locator(".tile").nth(i).get_attribute("data-number") for i in (0, 1))
        assert page.evaluate("document.activeElement.dataset.number") == second
        page.keyboard.press("c")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("c")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/beside?a={second}&b={first}")
        assert page.locator(".film img").count() == 8
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.keyboard.press("u")
        page.wait_for_url("**/runs/evolved")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_url("**/genomes/*")
        assert page.locator(".film img").count() == 4
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        text = page.inner_text("main")
        assert "evogan train" in text and "[genes]" in text
        page.wait_for_selector(".lazy svg")


# --- who may ask for what


def test_only_get(site: str) -> None:
    for path in ("/", "/runs/evolved", "/runs/evolved/genomes/1", "/watch.js", "/grids/1/samples.png", "/nothing"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert ask(site, path, method)[0] == 405, (path, method)


def test_only_by_its_own_name(site: str) -> None:
    port = urlsplit(site).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert ask(site, "/", host=host)[0] == 200, host
    for host in ("evil.example", f"127.0.0.1.evil.example:{port}", "10.0.0.2", "", f"[::1].evil:{port}"):
        assert ask(site, "/", host=host)[0] == 421, host


def test_only_images_of_the_store(site: str, folder: Path) -> None:
    store = Store.existing(folder)
    (identity, _, evaluation), *_ = (one for one in store.evaluations() if one[2].scores)
    status, content = ask(site, f"/grids/{evaluation.id}/samples.png")
    place = store.files(identity, evaluation)
    assert (status, content) == (200, (place / "samples.png").read_bytes())
    (folder / "secret.png").write_bytes(png(7))
    outside = folder.parent / "outside.png"
    outside.write_bytes(png(7))
    (place / "codes.png").symlink_to(outside)
    (place / "reconstructions.png").write_bytes(b"no PNG")
    for path in (
        f"/grids/{evaluation.id}/..%2f..%2f..%2fsecret.png",
        f"/grids/{evaluation.id}/../../../secret.png",
        f"/grids/{evaluation.id}/%2e%2e/secret.png",
        f"/grids/{evaluation.id}/codes.png",
        f"/grids/{evaluation.id}/reconstructions.png",
        f"/grids/{evaluation.id}/evogan.db",
        "/grids/999999/samples.png",
        "/grids/-1/samples.png",
        "/runs/evolved/now/.png",
        "/runs/evolved/now/..%2f..%2fsecret.png",
        "/evogan.db",
        "/..%2fevogan.db",
        "/runs/nobody",
        "/runs/evolved/genomes/99999",
    ):
        assert ask(site, path)[0] == 404, path
    store.close()


def test_the_grid_of_a_trial_that_has_just_ended_is_no_error(site: str) -> None:
    status, content = ask(site, "/runs/evolved/now/gone.png")
    assert status == 200 and Image.open(io.BytesIO(content)).size == (1, 1)


def test_nothing_is_written(folder: Path, site: str) -> None:
    before = (folder / "evogan.db").read_bytes()
    for path in ("/", "/runs/evolved", "/runs/evolved/wall?order=best&page=7", "/runs/evolved/genomes/3"):
        assert ask(site, path)[0] == 200
    assert (folder / "evogan.db").read_bytes() == before
    store = Store.existing(folder)
    with served(store), pytest.raises(UserError, match="can be read, but not written"):
        store.add_run("mine", {})
    store.close()


# --- what is looked at is what there is


def test_a_run_reads_on_to_what_the_history_has(folder: Path) -> None:
    from evogan.watch.run import WatchedRun

    store = Store.existing(folder)
    run, whole = WatchedRun(store, "evolved"), RunHistory(store, "evolved")
    assert run.refresh() and not run.refresh()
    assert [(told.row.number, told.values) for told in run.history] == [
        (told.row.number, told.values) for told in whole.history
    ]
    assert run.account.spent == whole.spent[-1]
    assert run.leader is not None and whole.best is not None
    assert run.leader.told.row.key == whole.best.row.key
    assert len(run.tiles) == len({told.row.key for told in whole.history})
    assert sum(failure.count for failure in run.failures.values()) == sum(told.values is None for told in whole.history)
    assert [tile.told.row.key for tile in run.wall("best")][:5] == [told.row.key for told in whole.ranking[:5]]
    store.close()


def test_a_genome_is_shown_as_it_was_judged_at_its_highest_fidelity(tmp_path: Path) -> None:
    """Hyperband asks for known ones again, lower."""
    from evogan.watch.run import WatchedRun

    grid = Space("grid", [Gene(name=name, kind="choice", values=(0, 1, 2)) for name in "xy"])

    def bowl(genes: Mapping[str, Any], fidelity: float) -> float:
        return float(1 + genes["x"] + genes["y"] + 1 / fidelity)

    asked: dict[str, Any] = {"runs": tmp_path, "task": "one", "strategy": "hyperband", "workers": 1, "evaluations": 12}
    found = search(grid, objective=bowl, name="run", **asked)
    highest = {one.row.key: max(t.fidelity for t in found.history if t.row.key == one.row.key) for one in found.history}
    lowered = [told for told in found.history if told.fidelity < highest[told.row.key]]
    assert len({told.row.key for told in lowered}) > 1
    run = WatchedRun(Store.existing(tmp_path), "run")
    run.refresh()
    assert {key: tile.told.fidelity for key, tile in run.tiles.items()} == highest
    assert run.leader is not None and found.best is not None and run.leader.number == found.best.row.number


def test_a_run_that_goes_on_with_more_checks_is_read_again(tmp_path: Path) -> None:
    from evogan.watch.run import WatchedRun

    line = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0)])
    asked: dict[str, Any] = {
        "runs": tmp_path,
        "task": "one",
        "strategy": "random",
        "workers": 1,
        "evaluations": 4,
        "finalists": 2,
    }
    draws = itertools.count()

    def noisy(genes: Mapping[str, Any]) -> float:
        return float(genes["x"]) + next(draws) % 3

    search(line, objective=noisy, name="run", confirm=2, **asked)
    run = WatchedRun(Store.existing(tmp_path), "run")
    run.refresh()
    assert [len(one.evaluations) for one in run.confirmations] == [2, 2]
    search(line, objective=noisy, name="run", confirm=5, **asked)
    assert run.refresh() and [len(one.evaluations) for one in run.confirmations] == [5, 5]
    assert not run.refresh()


def test_an_image_is_asked_for_anew_and_sent_where_it_is_another(site: str, folder: Path) -> None:
    store = Store.existing(folder)
    (_, _, evaluation), *_ = (one for one in store.evaluations() if one[2].scores)
    path = f"{site}/grids/{evaluation.id}/samples.png"
    first = urlopen(path)
    assert "no-cache" in first.headers["cache-control"] and "max-age" not in first.headers["cache-control"]
    with pytest.raises(HTTPError, match="304"):
        urlopen(Request(path, headers={"if-none-match": first.headers["etag"]}))
    assert urlopen(Request(path, headers={"if-none-match": '"another"'})).read() == first.read()
    store.close()


# --- the command


def test_mistakes_are_one_line(shell: Any, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(shell("watch"), "no store in", "nothing was run there yet")
    mistake(shell(f"watch nobody --runs {folder}"), "unknown run 'nobody'")
    mistake(shell(f"watch nobody.toml --runs {folder}"), "nobody.toml")
    mistake(shell(f"watch --host nowhere.invalid --runs {folder}"), "host 'nowhere.invalid'")
    with monkeypatch.context() as patch:
        patch.setattr("evogan.serving.page.find_spec", lambda name: None)
        mistake(shell(f"watch --runs {folder}"), "a live page needs starlette: pip install 'evogan[watch]'")
        mistake(shell("search wdcgan --watch"), "pip install 'evogan[watch]'")


def test_a_port_in_use_is_said_and_the_next_is_taken(folder: Path) -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with served(Store.existing(folder), port=port, say=said.append) as site:
            other = urlsplit(site).port
            assert other is not None and other > port
            assert said == [f"port {port} is in use: {other} is taken"]


def test_other_hosts_are_warned_of(folder: Path) -> None:
    said: list[str] = []
    with served(Store.existing(folder), host="0.0.0.0", say=said.append) as site:
        site = site.replace("0.0.0.0", "127.0.0.1")
        assert any("anyone who reaches 0.0.0.0" in line and "no password" in line for line in said)
        assert ask(site, "/", host="10.1.2.3:8790")[0] == 200
        assert ask(site, "/", host="evil.example")[0] == 421


def test_a_search_can_be_watched_while_it_goes_on(shell: Any, tmp_path: Path) -> None:
    from evogan.api import search

    said: list[str] = []
    seen: list[int] = []

    def listen(event: Event) -> None:
        if event.kind == "data" and event.reason.startswith("watch  http"):
            said.append(event.reason.removeprefix("watch  ").rstrip("/"))
        if event.kind == "told" and said and not seen:
            seen.append(ask(said[0], "/runs/r")[0])

    def objective(genes: dict[str, Any]) -> float:
        return float(genes["x"])

    space = Space("s", [Gene(name="x", kind="float", low=0.0, high=1.0)])
    search(
        space, objective=objective, task="t", runs=tmp_path, name="r", evaluations=5, workers=1, watch=True,
        strategy="random", listener=listen,
    )  # fmt: skip
    assert seen == [200]
    with pytest.raises(ConnectionError):  # it ended with the run
        ask(said[0], "/")
    with pytest.raises(UserError, match="watch: a live page shows what is kept"):
        search(space, objective=objective, evaluations=2, workers=1, watch=True)
