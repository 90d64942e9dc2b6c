"""docs/options.md, made from the declarations: `python -m evogan.settings.page > docs/options.md` renews it."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from evogan.options import GROUPS, Option
from evogan.settings import doors
from evogan.settings.doors import unsaid

TOP = """# Options

Every option is declared once, in `evogan/settings/`. Command line, Python signatures, campaign files and the records
of runs take it from there, and so does this page: `python -m evogan.settings.page > docs/options.md` renews it.

On the command line an option is written as in the first column. From Python it is a keyword, and in a campaign file a
key, of the same name with `_` in the place of `-`, unless the second column says otherwise. `evogan search` and
`evogan.search` take all of them. A setting that the record of an older run lacks has its default.
"""
BENCH = "Of `evogan bench run`"
ALSO = {"resume": doors.RESUME, "train": doors.TRAIN, "evaluate": doors.EVALUATE, "campaign files": doors.FILE}


def page() -> str:
    """As Markdown, a table for each group."""
    groups = {group.capitalize(): [one for one in doors.SEARCH if one.group == group] for group in GROUPS}
    return "\n".join([TOP, *map(_section, groups, groups.values()), _section(BENCH, doors.BENCH)])


def _section(title: str, options: list[Option]) -> str:
    head = ["option", "from Python", "values", "default", "meaning", "also taken by"]
    rows = [head, ["---"] * len(head), *map(_row, options)]
    return "\n".join([f"## {title}", "", *(f"| {' | '.join(cells)} |" for cells in rows), ""])


def _row(option: Option) -> list[str]:
    flag = option.flag or f"--{option.name.replace('_', '-')}"
    default = "" if option.default in (None, (), {}) else f"`{option.default}`"
    also = ", ".join(door for door, options in ALSO.items() if option in options or unsaid(option) in options)
    other = f"`{option.name}`" if option.flag else ""
    return [f"`{flag}`", other, _values(option), default, option.help, also]


def _values(option: Option) -> str:
    kinds = get_args(option.kind) or (option.kind,)
    kinds = (option.kind,) if get_origin(option.kind) in (Literal, tuple) else kinds
    words = [f"`{word}`" for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if bool in kinds:
        return "yes or no"
    if int in kinds or float in kinds:
        number = "a whole number" if int in kinds else "a number"
        words.append(f"{number}, {option.bounds}" if str(option.bounds) else number)
    return " or ".join(words) if words else "several texts" if option.many else "a text"


if __name__ == "__main__":
    print(page(), end="")
