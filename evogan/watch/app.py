"""The pages as a web application: it answers GET and nothing else. What goes on is told by server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from evogan.errors import UserError
from evogan.serving.guard import LOOPBACK, Guard
from evogan.watch import pages
from evogan.watch.run import ORDERS, Order
from evogan.watch.store import Drawn, WatchedStore

PAUSE = 1.4  # seconds between two looks
SILENCE = 15.0  # seconds after which a line says that the server is there
HERE = Path(__file__).parent


class Hub:
    """One look at the store for all who look at the same page, while anybody does."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()
        self._lasts: dict[str, tuple[float, Drawn | UserError]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    def end(self) -> None:
        """Whoever looks on is told."""
        self._ended.set()

    async def follow(self, topic: str, look: Callable[[], Drawn]) -> AsyncIterator[bytes]:
        """What changes, as events."""
        sent: dict[str, str] = {}
        wall, notice, silent = -1, "", 0.0
        while not self._ended.is_set():
            found = await self._look(topic, look)
            said: dict[str, object] = {}
            if isinstance(found, UserError):
                if notice != str(found):
                    said["notice"] = notice = str(found)
            else:
                said = {name: html for name, html in found.parts.items() if sent.get(name) != html}
                sent |= found.parts
                if notice:
                    said["notice"] = notice = ""
                if wall != found.wall:
                    said["wall"] = wall = found.wall
            if said:
                silent = 0.0
                yield f"event: update\ndata: {json.dumps(said)}\n\n".encode()
            elif (silent := silent + PAUSE) > SILENCE:
                silent = 0.0
                yield b": here\n\n"
            try:
                await asyncio.wait_for(self._ended.wait(), PAUSE)
            except TimeoutError:
                continue
        yield b"event: end\ndata: \n\n"

    async def _look(self, topic: str, look: Callable[[], Drawn]) -> Drawn | UserError:
        now = asyncio.get_running_loop().time
        async with self._turns.setdefault(topic, asyncio.Lock()):
            at, last = self._lasts.get(topic, (-1.0, None))
            if last is None or now() - at > PAUSE / 2:
                try:
                    last = await run_in_threadpool(look)
                except UserError as error:
                    last = error
                self._lasts[topic] = now(), last
            return last


def application(
    watched: WatchedStore, hub: Hub, *, start: str = "", hosts: Collection[str] = LOOPBACK, anywhere: bool = False
) -> ASGIApp:
    """`start`: the run that the first page leads to. `hosts`: by what names it is asked, beside addresses where it is
    served `anywhere`."""

    def asked(request: Request) -> tuple[Order, int]:
        order = request.query_params.get("order", "newest")
        page = request.query_params.get("page", "1")
        number = int(page) if page.isdecimal() and len(page) < 10 else 1
        return (next((one for one in ORDERS if one == order), "newest"), number)

    def html(make: Callable[[Request], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return HTMLResponse(make(request), headers={"cache-control": "no-store"})
            except UserError as error:
                page = pages.render("wrong.html.j2", title=watched.title, why=str(error))
                return HTMLResponse(page, 404)

        return answer

    def image(make: Callable[[Request], bytes]) -> Callable[[Request], Response]:
        """Asked for anew each time, and sent where it is another: numbers are counted from 1 in every store."""

        def answer(request: Request) -> Response:
            try:
                content = make(request)
                tag = f'"{sha256(content).hexdigest()}"'
                headers = {"cache-control": "private, no-cache", "etag": tag}
                if request.headers.get("if-none-match") == tag:
                    return Response(status_code=304, headers=headers)
                return Response(content, media_type="image/png", headers=headers)
            except UserError:
                return Response("no such image\n", 404)

        return answer

    def file(name: str, kind: str) -> Route:
        answer = Response((HERE / name).read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})
        return Route(f"/{name}", lambda request: answer)

    def front(request: Request) -> Response:
        if start and "all" not in request.query_params:
            return RedirectResponse(f"/runs/{quote(start, safe='')}", 307)
        return html(
            lambda request: pages.render(
                "front.html.j2", title=watched.title, place=watched.place, runs=watched.front()
            )
        )(request)

    def stream(topic: str, look: Callable[[], Drawn]) -> Response:
        return StreamingResponse(
            hub.follow(topic, look), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def front_events(request: Request) -> Response:
        return stream("", lambda: Drawn({"runs": watched.front()}))

    async def run_events(request: Request) -> Response:
        name = request.path_params["run"]
        return stream(f"run {name}", partial(watched.look, name))

    async def genome_events(request: Request) -> Response:
        name, number = request.path_params["run"], request.path_params["number"]
        return stream(f"genome {number} {name}", partial(watched.trains, name, number))

    def run_page(request: Request) -> str:
        order, page = asked(request)
        return watched.page(request.path_params["run"], order, page, f"order={order}&page={page}")

    def beside(request: Request) -> str:
        numbers = [request.query_params.get(name, "") for name in "ab"]
        if not all(number.isdecimal() and len(number) < 10 for number in numbers):
            raise UserError("name two proposals by their numbers")
        return watched.beside(request.path_params["run"], [int(number) for number in numbers])

    def genome(make: Callable[[str, int], str]) -> Callable[[Request], Response]:
        return html(lambda request: make(request.path_params["run"], request.path_params["number"]))

    one = "/runs/{run}/genomes/{number:int}"
    routes = [
        Route("/", front),
        Route("/events", front_events),
        Route("/runs/{run}", html(run_page)),
        Route("/runs/{run}/events", run_events),
        Route("/runs/{run}/wall", html(lambda r: watched.wall(r.path_params["run"], *asked(r)))),
        Route("/runs/{run}/beside", html(beside)),
        Route(one, genome(watched.genome_page)),
        Route(f"{one}/events", genome_events),
        Route(f"{one}/training", genome(watched.training)),
        Route(f"{one}/networks", genome(watched.networks)),
        Route("/runs/{run}/now/{trial}.png", image(lambda r: watched.live_grid(**_named(r)))),
        Route("/grids/{evaluation:int}/{name}", image(lambda r: watched.grid(**r.path_params))),
        file("watch.css", "text/css"),
        file("watch.js", "text/javascript"),
        file("icon.svg", "image/svg+xml"),
    ]
    return Guard(Starlette(routes=routes), hosts, anywhere)


def _named(request: Request) -> dict[str, str]:
    return {"name": request.path_params["run"], "trial": request.path_params["trial"]}
