"""A status for people, on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evogan.monitor.machine import Memory
from evogan.monitor.status import Status

SILENT = 30.0  # seconds after which it is said of a driver that lives, too: it is suspended, or its disk is full


def status_table(status: Status) -> RenderableType:
    """How a run is getting on, and what runs where."""
    lines = [_headline(status), _work(status), _best_line(status), _time(status), _machine(status)]
    shown = [Text(line) for line in lines if line]
    return Group(*shown, _running_table(status)) if status.running and status.alive is not False else Group(*shown)


def _headline(status: Status) -> str:
    host, pid = status.driver["host"], status.driver["pid"]
    if status.ended:
        on = f"; `evogan resume {status.run}` goes on" if status.state == "stopped" else ""
        why = f" ({status.reason})" if status.reason else ""
        return f"{status.run}  {status.state}{why} after {span(status.seconds)}{on}"
    if status.alive is False:
        return f"{status.run}  its driver is gone: `evogan resume {status.run}` goes on"
    heard = "" if status.alive and status.age < SILENT else f", last heard of {span(status.age)} ago"
    reason = f" ({status.reason})" if status.reason else ""
    return f"{status.run}  {status.state}{reason} for {span(status.seconds)} on {host}, process {pid}{heard}"


def _work(status: Status) -> str:
    counts = status.counts
    failed = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in status.failed.items())
    parts = [
        f"{counts['evaluated']} evaluated",
        f"{counts['cached']} cached",
        f"{counts['failed']} failed" + (f" ({failed})" if failed else ""),
        *(f"{counts[name]} {name}" for name in ("pruned", "retried", "running", "queued", "awaited") if counts[name]),
    ]
    of = "" if status.state == "finished" else f" of {status.checks}"  # in the end there may have been fewer to make
    checks = f"; {status.checked}{of} checks" if status.checks else ""
    return f"{status.spent:g} of {status.budget:g} evaluations: {', '.join(parts)}{checks}"


def _best_line(status: Status) -> str:
    if status.best is None:
        return ""
    return f"best {status.metric} {status.best['value']:.4g} (proposal {status.best['number']}, {status.best['key']})"


def _time(status: Status) -> str:
    if status.rate is None or status.eta is None:
        return ""
    hourly = 3600 * status.rate
    pace = f"{hourly:.3g}" if hourly < 100 else f"{hourly:.0f}"
    return f"{pace} evaluations an hour, about {span(status.eta)} left"


def _machine(status: Status) -> str:
    """Of the driver's machine; nothing once it is gone."""
    if status.alive is False:
        return ""
    use = status.use
    parts = [f"cpu {use['cpu']:.0f} %", f"memory {_gigabytes(use['memory'])}"]
    for gpu in use["gpus"]:
        load = "" if gpu["load"] is None else f" {gpu['load']:.0f} %,"
        parts.append(f"gpu {gpu['index']:.0f}{load} {_gigabytes(gpu)}")
    return ", ".join(parts)


def _running_table(status: Status) -> Table:
    table = Table()
    unit = "iterations" if any("iterations" in trial["point"] for trial in status.running) else "kimg"
    for column in ("proposal", "key", "where", "since", unit, "done", status.metric):
        left = column in ("key", "where")
        table.add_column(Text(column), justify="left" if left else "right", overflow="fold")
    for trial in status.running:
        point = trial["point"]
        done = point.get("fidelity")
        table.add_row(
            *(
                Text(cell)
                for cell in (
                    "check" if trial["number"] is None else str(trial["number"]),
                    trial["key"],
                    trial["where"],
                    span(trial["seconds"]),
                    _number(point.get(unit)),
                    "" if done is None else f"{100 * done / trial['fidelity']:.0f} %",
                    _number(point.get(status.metric)),
                )
            )
        )
    more = status.counts["running"] - len(status.running)
    if more:
        table.caption = Text(f"and {more} more")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _gigabytes(memory: Memory) -> str:
    used, total = memory["used"], memory["total"]
    return "-" if used is None or total is None else f"{used / 1e9:.1f} of {total / 1e9:.1f} GB"


def span(seconds: float) -> str:
    """'3 h 12 min', '12 min 5 s', '5 s'."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    left, parts = round(seconds), []
    for name, size in units:
        if left >= size:
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts[:2]) or "0 s"
