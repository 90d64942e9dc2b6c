"""What goes before a search or a training, such as features that learn from the data."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import Progress, TaskID

from evogan.monitor.tenths import Tenths

SHARES = 100  # a share is shown as so many of so many


class Preparation:
    """Hears a line, and which share is done of what it says: a bar among those of `bar`, else a line as it begins, and
    for every tenth on the way."""

    def __init__(self, bar: Progress, say: Callable[[str], None]) -> None:
        self._bar, self._say = bar, say
        self._task: TaskID | None = None
        self._tenths = Tenths()

    def __call__(self, line: str, done: float | None) -> None:
        if done is None:
            self._say(line)
            return
        if self._bar.disable:
            if done == 0:
                self._tenths = Tenths()
                self._say(line)
            elif done < 1 and self._tenths(done):
                self._say(f"{done:.0%} {line}")
            return
        if self._task is None:
            self._task = self._bar.add_task(line, total=SHARES, facts="")
        self._bar.update(self._task, description=line, completed=round(SHARES * done), visible=done < 1)
