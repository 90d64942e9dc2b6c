"""A server on this machine until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import uvicorn

from evogan.engine.store import Store
from evogan.errors import unknown
from evogan.serving import WATCH_PORT
from evogan.serving.guard import LOOPBACK
from evogan.serving.ports import bound, is_loopback
from evogan.watch.app import Hub, application
from evogan.watch.store import WatchedStore


class _Server(uvicorn.Server):
    """Tells those who look on that it ends, so that no page goes on asking."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.end()
        await super().shutdown(sockets)


def serve(
    store: Store,
    *,
    title: str = "evogan",
    names: Sequence[str] | None = None,
    start: str = "",
    host: str = "127.0.0.1",
    port: int = WATCH_PORT,
    at: Callable[[str], None],
    say: Callable[[str], None] = lambda line: None,
    until: Callable[[], object] | None = None,
) -> None:
    """Serve a store's runs, or those of these `names`, from the page of run `start` on.

    at: hears the address. say: hears warnings. until: returns when it is to end; else it is interrupted.
    Errors: UserError for a run that is not there, and an address that cannot be had.
    """
    watched = WatchedStore(store, title, names)
    if start and start not in watched.names():
        raise unknown("run", start, watched.names())
    found, listening = bound(host, port)
    if found != port:
        say(f"port {port} is in use: {found} is taken")
    loopback, shown = is_loopback(host), f"[{host}]" if ":" in host else host
    if not loopback:
        say(f"anyone who reaches {shown}:{found} sees these runs: there is no password")
    at(f"http://{shown}:{found}/")
    hosts = {*LOOPBACK, shown.lower()}
    if not loopback:
        hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    asyncio.run(_serve(watched, start, hosts, not loopback, listening, until))


async def _serve(
    watched: WatchedStore,
    start: str,
    hosts: set[str],
    anywhere: bool,
    listening: socket.socket,
    until: Callable[[], object] | None,
) -> None:
    hub = Hub()
    app = application(watched, hub, start=start, hosts=hosts, anywhere=anywhere)
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=1
    )
    server = _Server(config, hub)

    async def wait() -> None:
        assert until is not None
        await asyncio.to_thread(until)
        server.should_exit = True

    waiting = asyncio.create_task(wait()) if until else None
    with suppress(KeyboardInterrupt):
        await server.serve([listening])
    if waiting is not None and not waiting.done():
        waiting.cancel()
