"""Code as `ruff format` leaves it: the templates write long lines, which are broken here."""

from __future__ import annotations

import re

WIDTH = 88
PAIRS = {"(": ")", "[": "]", "{": "}"}


def formatted(code: str) -> str:
    """No line longer than `WIDTH` that has brackets to be broken at, and as many empty lines as there should be."""
    code = re.sub(r"loss = (.*)\n    return loss\n", r"return \1\n", code)
    lines = [line.rstrip() for line in code.splitlines()]
    broken = "\n".join(part for line in lines for part in _broken(line))
    broken = re.sub(r"\n{4,}", "\n\n\n", broken)
    broken = re.sub(r"\n{3,}(?=    )", "\n\n", broken)  # inside of something
    broken = re.sub(r"(?<=[^\n])\n\n?(?=(?:class |def |@torch))", "\n\n\n", broken)
    broken = broken.replace("@torch.no_grad()\n\n\ndef", "@torch.no_grad()\ndef")
    return broken.strip() + "\n"


def _broken(line: str) -> list[str]:
    """As it is if it fits; else with what its last brackets hold in a line of its own, or each in one."""
    found = _brackets(line) if len(line) > WIDTH and not line.lstrip().startswith(("#", '"""')) else None
    if found is None:
        return [line]
    begin, end = found
    pad = " " * (len(line) - len(line.lstrip()))
    inside, rest = line[begin + 1 : end], line[end:]
    if len(pad) + 4 + len(inside) <= WIDTH:
        return [line[: begin + 1], f"{pad}    {inside}", f"{pad}{rest}"]
    parts = [part for item in _items(inside) for part in _broken(f"{pad}    {item},")]
    return [line[: begin + 1], *parts, f"{pad}{rest}"]


def _brackets(line: str) -> tuple[int, int] | None:
    """Where the last outermost pair begins and ends; of a definition the first."""
    depth, begin, found = 0, 0, None
    for i, letter in enumerate(line):
        if found and line.lstrip().startswith("def "):
            return found
        if letter in PAIRS:
            called = (i > 0 and (line[i - 1].isalnum() or line[i - 1] in "_)]")) or letter != "("
            begin = (i if called else len(line)) if depth == 0 else begin
            depth += 1
        elif letter in PAIRS.values():
            depth -= 1
            if depth == 0 and i > begin + 1:
                found = begin, i
    return found


def _items(text: str) -> list[str]:
    """What commas separate, outside of brackets."""
    items, depth = [""], 0
    for letter in text:
        depth += (letter in PAIRS) - (letter in PAIRS.values())
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return [item.strip() for item in items if item.strip()]
