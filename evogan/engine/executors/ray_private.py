"""All that is used of Ray beyond its public interface, each with what it is for. Where Ray changes, this may break."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import _raylet
from ray._private import client_mode_hook, ray_constants

raylet: Any = _raylet


def silence() -> None:
    """What workers print when they are lost goes to the terminal even with `log_to_driver=False`: it is no news."""
    ray._private.worker.print_to_stdstream = lambda *args, **kwargs: None


def leave_client_mode() -> None:
    """After a failed `ray.init` by address, all that follows would be asked of the lost connection."""
    client_mode_hook._explicitly_disable_client_mode()


def reset_token() -> None:
    """The token of a cluster is read from RAY_AUTH_TOKEN once in a process; read it again."""
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def reset_config() -> None:
    """What the last cluster set stays in the process, authentication too: the next one begins without."""
    raylet.Config.initialize("")
    reset_token()


@contextmanager
def on_loopback() -> Iterator[None]:
    """As Ray does where it knows no clusters: it asks for no address of the machine that others could reach."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
