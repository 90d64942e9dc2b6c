"""Plugins: modules of a user's own that enter strategies and data sets into our tables as they are imported.

One is named as a module or as a .py file, or an installed package names it as an entry point of the group
`evogan.plugins`. They are imported before anything is read, recorded with a run, and imported again by whoever goes on
with it, and by its workers before they unpickle what they are to do.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, MutableMapping
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any, TypeVar

from evogan.errors import UserError, summary
from evogan.files import expand
from evogan.stable import digest

GROUP = "evogan.plugins"
_IMPORTED: dict[str, str] = {}  # name -> digest of the source, as it was then
_HALF: set[str] = set()  # came to harm after they had entered something
_entered = count()
_MODULES: set[str] = set()  # as Python calls them
_SOURCES: dict[tuple[str, str], frozenset[str]] = {}  # what and its name -> modules under import, or that of a script
Entry = TypeVar("Entry")


class Plugins:
    """Those that are imported, by name, files with their whole path. Unpickled elsewhere, it imports them there."""

    def __init__(self, names: Iterable[str]) -> None:
        """Errors: UserError for one that does not import, or names what exists."""
        self.names = tuple(dict.fromkeys(map(_import, [*_installed(), *names])))

    @property
    def digests(self) -> dict[str, str]:
        """By name, of the source of each as it was imported: that of a package is all of its modules."""
        return {name: _IMPORTED[name] for name in self.names}

    def check(self) -> Plugins:
        """Errors: UserError for one that was edited since: its old code would run, and be recorded as the new one."""
        for name, known in self.digests.items():
            if _digest(name) != known:
                raise UserError(f"plugin '{name}' was edited after this process had imported it: start another one")
        return self

    def __reduce__(self) -> tuple[Callable[..., Plugins], tuple[Any, ...]]:
        return _arrived, (self.digests,)


def _arrived(digests: Mapping[str, str]) -> Plugins:
    """Errors: UserError for one whose source is another here."""
    plugins = Plugins(digests)
    for name, known in digests.items():
        if plugins.digests[name] != known:
            raise UserError(f"plugin '{name}' is not what the search began with: edited meanwhile, or another one")
    return plugins


class Plugged:
    """A function that is unpickled after the plugins that it may need were imported."""

    def __init__(self, plugins: Plugins, function: Callable[..., Any]) -> None:
        self._plugins, self._function = plugins, function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __reduce__(self) -> tuple[type[Plugged], tuple[Any, ...]]:
        return Plugged, (self._plugins, self._function)  # in this order


def imported(names: Collection[str]) -> bool:
    """Whether all of them were, in this process, files that are gone from another place; installed ones are at once.
    No other is imported for it."""
    if names:
        for name in _installed():
            _import(name)
    missing = [name for name in names if name not in _IMPORTED]
    return not any(Path(name).is_file() for name in missing) and not without(missing, _IMPORTED)


def without(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of a record that are not among others, and whose place none of these takes: of a file that has moved the
    only one of its name."""
    names, others = list(names), set(others)
    left = [name for name in names if name not in others]
    now, then = (Counter(Path(name).name for name in of if name.endswith(".py")) for of in (others - {*names}, left))
    return [name for name in left if (now[Path(name).name], then[Path(name).name]) != (1, 1)]


def _installed() -> list[str]:
    return [entry.module for entry in entry_points(group=GROUP)]


class Unusable(TypeError):
    """What a plugin's code returned."""


def at_fault(error: BaseException, *, scripts: bool = False) -> bool:
    """Whether code of a plugin raised it, called what did, or returned what is of no use; or of a script that entered
    something, where nothing else of a user's runs."""
    if isinstance(error, Unusable):
        return True
    modules = {_module(frame) for frame, _ in walk_tb(error.__traceback__)}
    entered = frozenset[str]().union(*_SOURCES.values()) if scripts else frozenset[str]()
    return any(module in entered or _is_plugin(module) for module in modules)


def _importing(frame: FrameType | None) -> frozenset[str]:
    """The modules whose code is run for the first time there, a script's, too, and the nearest that is not ours."""
    modules, nearest = set(), ""
    while frame is not None:
        module = _module(frame)
        if module.partition(".")[0] != __name__.partition(".")[0]:
            nearest = nearest or module
            if frame.f_code.co_name == "<module>":
                modules.add(module)
        frame = frame.f_back
    return frozenset(modules or {nearest})


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _is_plugin(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _MODULES)


def of_scripts() -> list[tuple[str, str]]:
    """What was entered, and its name, by other than the import of a plugin: workers do not know it."""
    return [entry for entry, modules in _SOURCES.items() if not any(map(_is_plugin, modules))]


def enter(table: MutableMapping[str, Entry], what: str, name: str, entry: Entry) -> None:
    """Errors: UserError if the table has an entry of that name."""
    check_new(table, what, name)
    table[name] = entry
    _SOURCES[what, name] = _importing(sys._getframe(1))
    next(_entered)


def check_new(table: Container[Any], what: str, name: str) -> None:
    """Errors: UserError if the table has an entry of that name."""
    if name in table:
        raise UserError(f"{what} '{name}' exists already")


def _import(name: str) -> str:
    """What it is called from then on."""
    path = expand(name).resolve() if name.endswith(".py") else None
    if path is None and (not name or name.startswith(".") or "/" in name):
        raise UserError(f"plugin '{name}' is neither the name of a module nor a .py file")
    name, before = str(path) if path else name, next(_entered)
    if name in _HALF:
        raise UserError(f"plugin '{name}' came to harm halfway in this process: start another one")
    try:
        if path is None:
            importlib.import_module(name)
            _MODULES.add(name)
        else:
            _import_file(path)
    except (Exception, SystemExit) as error:  # whatever its code raises
        if next(_entered) > before + 1:
            _HALF.add(name)
        said = f": {error}" if isinstance(error, UserError) else f" cannot be imported: {summary(error)}"
        raise UserError(f"plugin '{name}'{said}") from None
    if name not in _IMPORTED:
        _IMPORTED[name] = _digest(name)
    return name


def _digest(name: str) -> str:
    found = sys.modules[name].__file__ if name in sys.modules else name
    path = Path(found or "")
    sources = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return digest([source.read_bytes().hex() for source in sources if source.is_file()])


def _import_file(path: Path) -> None:
    """Once, under a name that is the same in every process, so that what it defines can be sent to workers."""
    called = f"evogan_plugin_{path.stem}_{digest(str(path))[:6]}"
    _MODULES.add(called)
    if called in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(called, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[called] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[called]
        raise
