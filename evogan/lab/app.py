"""The lab as a web application on loopback: a page, and a few requests that move the one training on."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from evogan.data import DataSpec, load_dataset
from evogan.data.points import POINTS
from evogan.errors import UserError
from evogan.lab.session import Session
from evogan.options import LARGEST_SEED, read_option
from evogan.serving.guard import LOOPBACK, Guard
from evogan.serving.ports import bound

HERE = Path(__file__).parent
LONGEST = 10_000  # bytes of a request


def application(session: Session, title: str) -> ASGIApp:
    """Who asks is answered one after the other: there is one training."""
    turn, lab, given = threading.Lock(), [session], session.data
    sets = list(dict.fromkeys((given.name, *POINTS)))

    def state(request: dict[str, Any]) -> None:
        pass

    def do(request: dict[str, Any]) -> None:
        what = request.get("what")
        if what not in ("critic", "generator", "both"):
            raise UserError("what is to be done: critic, generator or both")
        lab[0].do(what, read_option("times", request.get("times", 1), int, low=1, high=1000))

    def change(request: dict[str, Any]) -> None:
        lab[0].change(request)

    def restart(request: dict[str, Any]) -> None:
        seed = read_option("seed", request.get("seed", lab[0].seed), int, low=0, high=LARGEST_SEED)
        name = request.get("data", lab[0].data.name)
        if name == lab[0].data.name:
            lab[0].restart(seed)
        elif name in sets:
            data = given if name == given.name else load_dataset(DataSpec(name))
            lab[0] = Session(lab[0].genome, data, seed)
        else:
            raise UserError(f"data: one of {', '.join(sets)}")

    def answer(act: Callable[[dict[str, Any]], None]) -> Callable[[Request], Any]:
        def work(given: dict[str, Any]) -> Response:
            with turn:
                error = ""
                try:
                    act(given)
                except UserError as mistake:
                    error = str(mistake)  # the page says it
                now = lab[0]
                data = {"data": now.data.name, "sets": sets, "contents": now.data.describe()}
                about = {**data, "seed": now.seed, "genes": now.genes(), "error": error}
                return JSONResponse(now.view() | about, headers={"cache-control": "no-store"})

        async def asked(request: Request) -> Response:
            body = b"{}"
            if request.method == "POST":
                if request.headers.get("content-type") != "application/json" or not _own(request):
                    return Response("only from the lab's own page\n", 403)
                body = await request.body()
            try:
                given = json.loads(body) if len(body) <= LONGEST else None
            except (ValueError, RecursionError):
                given = None
            if not isinstance(given, dict):
                return Response("no request of the lab\n", 400)
            return await run_in_threadpool(work, given)

        return asked

    page = (HERE / "lab.html").read_text().replace("TITLE", escape(title))
    style = files("evogan.report").joinpath("style.css").read_text() + (HERE / "lab.css").read_text()
    script = (HERE / "lab.js").read_text()

    def text(content: str, kind: str) -> Callable[[Request], Response]:
        return lambda request: Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    routes = [
        Route("/", lambda request: HTMLResponse(page)),
        Route("/lab.js", text(script, "text/javascript")),
        Route("/lab.css", text(style, "text/css")),
        Route("/state", answer(state)),
        *(
            Route(f"/{name}", answer(act), methods=["POST"])
            for name, act in {"do": do, "change": change, "restart": restart}.items()
        ),
    ]
    return Guard(Starlette(routes=routes), LOOPBACK, False, ("GET", "HEAD", "POST"))


def _own(request: Request) -> bool:
    """Whether a browser sent it from this very page, or no browser did."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"http://{request.headers.get('host')}"


def serve(
    session: Session,
    *,
    title: str,
    port: int,
    at: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """On loopback, until it is interrupted. `at` hears the address. Errors: UserError for one that cannot be had."""
    found, listening = bound("127.0.0.1", port)
    if found != port:
        say(f"port {port} is in use: {found} is taken")
    at(f"http://127.0.0.1:{found}/")
    config = uvicorn.Config(
        application(session, title),
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    asyncio.run(uvicorn.Server(config).serve([listening]))
