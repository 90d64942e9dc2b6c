"""The lab: what it shows is what is computed, looking changes nothing, and a browser can steer every loss."""

from __future__ import annotations

import http.client
import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evogan.data import DataSpec, load_dataset
from evogan.data.points import POINTS as DATA
from evogan.errors import UserError
from evogan.genes import AUTOENCODING, GENES
from evogan.lab.session import POINTS, SETTABLE, Session
from evogan.shipped import read_genome
from tests.test_watch import tab

SMALL = {**read_genome("points_gan").genome, "filters": 16, "batch_size": 16, "latent": 8}
RING = load_dataset(DataSpec("ring"))
LOSSES = [loss for loss in GENES["loss"].values if loss not in AUTOENCODING]


def weights(session: Session) -> list[torch.Tensor]:
    networks = session._trainer.gan.networks.values()
    return [tensor.clone() for network in networks for tensor in network.state_dict().values()]


def test_what_a_script_has_set_changes_nothing() -> None:
    one, other = (Session(GENES.read(SMALL), RING) for _ in range(2))
    one.do("both", 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        other.do("both", 4)
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize("change", [{}, {"generator_norm": "batch"}, {"critic_norm": "virtual_batch"}])
def test_looking_changes_nothing(change: dict[str, str]) -> None:
    one, other = (Session(GENES.read({**SMALL, **change}), RING) for _ in range(2))
    for _ in range(4):
        one.do("both")
        one.view()
    other.do("both", 4)
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_samples_are_pushed_where_the_loss_falls() -> None:
    session = Session(SMALL, RING)
    session.do("both", 3)
    fakes, pushed = session._pushed()
    critic = session._trainer.gan.players["critic"]
    at = fakes.view(-1, 2, 1, 1).requires_grad_()
    loss = torch.nn.functional.softplus(-critic(at, ()).score).sum()  # -log sigmoid(D), Goodfellow et al. 2014
    (gradient,) = torch.autograd.grad(loss, at)
    assert torch.allclose(pushed, -gradient.flatten(1), rtol=1e-4, atol=1e-7)


def test_a_view_is_plain_and_whole() -> None:
    view = Session(SMALL, RING).view()
    json.dumps(view, allow_nan=False)
    assert np.shape(view["fakes"]) == np.shape(view["pushes"]) == np.shape(view["reals"]) == (POINTS, 2)
    assert np.shape(view["surface"]) == (41, 41) and np.shape(view["latent_grid"]) == (13, 13, 2)
    session = Session(SMALL, RING)
    with torch.no_grad():
        top_left = torch.tensor([view["frame"][0], view["frame"][1]]).view(1, 2, 1, 1)
        score = float(session._trainer.gan.players["critic"](top_left, ()).score)
    assert view["surface"][0][0] == pytest.approx(score, abs=1e-4)


def test_a_player_may_step_alone() -> None:
    session = Session(SMALL, RING)
    before = [p.clone() for p in session._trainer.gan.players["generator"].parameters()]
    session.do("critic", 2)
    after = list(session._trainer.gan.players["generator"].parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert session.view()["steps"] == {"critic": 2, "generator": 0}


def test_a_critic_that_diverges_alone_is_said() -> None:
    session = Session(SMALL, RING)
    with torch.no_grad():
        next(iter(session._trainer.gan.players["critic"].parameters())).fill_(math.nan)
    with pytest.raises(UserError, match="it diverged: .* loss is nan"):
        session.do("critic")
    json.dumps(session.view()["curve"], allow_nan=False)


def test_few_points_have_as_many_fakes() -> None:
    train = {stream: {field: rows[:40] for field, rows in fields.items()} for stream, fields in RING.train.items()}
    session = Session({**SMALL, "relativistic": "pairs"}, replace(RING, train=train))
    assert np.shape(session.view()["fakes"]) == np.shape(session.view()["pushes"]) == (40, 2)


@pytest.mark.parametrize(
    "change",
    [
        *({"loss": loss} for loss in LOSSES),
        {"gradient_penalty": "two_sided", "gradient_penalty_weight": 0.1},
        {"zero_penalty": "r1"},
        {"learning_rate": 1e-3, "lr_ratio": 1.0, "critic_steps": 3},
        {"critic_optimizer": "sgd"},
        {"batch_size": 8},
    ],
)
def test_genes_change_while_it_trains(change: dict[str, Any]) -> None:
    session = Session(SMALL, RING)
    session.do("both", 2)
    before = session.view()["fakes"]
    session.change(change)
    assert {name: session.genome[name] for name in change} == change
    assert session.view()["fakes"] == before, "it is the same generator"
    session.do("both", 2)
    assert session._trainer.iteration == 4 and session.view()["fakes"] != before


def test_mistakes_are_one_line() -> None:
    session = Session(SMALL, RING)
    for genes, line in (
        ({"filters": 8}, "does not change"),
        ({"learning_rate": -1.0}, "learning_rate"),
        *(({"loss": loss}, "loss") for loss in ("x", AUTOENCODING[0])),
    ):
        with pytest.raises(UserError, match=line):
            session.change(genes)
    with pytest.raises(UserError, match="has images"):
        Session(SMALL, load_dataset(DataSpec("digits")))
    with pytest.raises(UserError, match="no classes"):
        Session(GENES.read({**SMALL, "condition": "labels"}), RING)
    session.change(
        {"loss": "least_squares", "learning_rate": 1.0, "critic_optimizer": "sgd", "generator_optimizer": "sgd"}
    )
    with pytest.raises(UserError, match="diverged"):
        session.do("both", 300)
    session.restart(1)
    assert session._trainer.iteration == 0


@contextmanager
def served(session: Session) -> Iterator[int]:
    uvicorn = pytest.importorskip("uvicorn")
    from evogan.lab.app import application
    from evogan.serving.ports import bound

    port, listening = bound("127.0.0.1", 8890)
    config = uvicorn.Config(application(session, "<i>mine</i>"), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()


def test_only_its_own_page_may_steer_it() -> None:
    session = Session(SMALL, RING)
    with served(session) as port:

        def ask(body: str = '{"what": "both"}', path: str = "/do", **headers: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            given = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
            connection.request("POST", path, body, given)
            return connection.getresponse().status

        assert ask() == ask(origin=f"http://127.0.0.1:{port}") == 200
        assert ask(origin="http://elsewhere.org") == ask(content_type="text/plain") == 403
        assert ask(host="elsewhere.org") == 421
        assert ask("[1]") == ask("{") == ask("{" + " " * 20_000 + "}") == 400
        assert ask('{"what": "x"}') == ask('{"data": "/etc/passwd"}', "/restart") == 200  # it says what it cannot do
        assert session.data.name == "ring"
        assert session._trainer.iteration == 2


def test_a_users_points_can_be_begun_anew_and_come_back_to(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).normal(size=(100, 2)))
    with served(Session(SMALL, load_dataset(DataSpec(str(tmp_path / "mine.npy"))))) as port:

        def restart(data: str, seed: int) -> dict[str, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            body = json.dumps({"data": data, "seed": seed})
            connection.request("POST", "/restart", body, {"content-type": "application/json"})
            told: dict[str, Any] = json.load(connection.getresponse())
            return told

        for seed, name in enumerate(("mine", "ring", "mine")):
            told = restart(name, seed)
            assert not told["error"] and (told["data"], told["seed"]) == (name, seed)
            assert told["sets"] == ["mine", *DATA] and told["contents"].startswith(f"{name}: ")
        assert restart("", 0)["error"] == "data: one of mine, ring, grid, moons, spiral"


def test_every_loss_is_tried_in_a_browser(browser: Any) -> None:
    session = Session(SMALL, RING)
    with served(session) as port, tab(browser) as page:
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#genes select")
        assert page.inner_text("h1") == "<i>mine</i> on ring"
        for i, loss in enumerate(LOSSES):
            page.select_option("#gene-loss", json.dumps(loss))
            page.keyboard.press("b")
            page.wait_for_selector(f"#iteration:text-is('{i + 1}')")
        assert page.is_hidden("#error")
        page.fill("#gene-learning_rate", "-3")
        page.press("#gene-learning_rate", "Tab")
        page.wait_for_selector("#error:not([hidden])")
        page.click("h1")
        page.keyboard.press("Space")
        page.wait_for_selector("#iteration:text-matches('^[2-9][0-9]$')")
        page.keyboard.press("Space")
        page.select_option("#data", "moons")
        page.wait_for_selector("#where:text-is('moons')")
    assert set(SETTABLE) == {gene["name"] for gene in session.genes()}
