"""Mistakes of the user's: one clear line each, exit code 2. What is printed of them hides and does no harm."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 80  # characters of a value that a line shows
REASON = 500  # and of an error's message
LISTED = 60  # names in a line
JOINERS = "\u200c\u200d"  # of letters, and of pictures that are one: they steer nothing
_SECRETS = (
    (re.compile(r"(://[^\s/:@]*):\S*@"), r"\1:***@"),  # of a URL; a password may have an @ in it
    (re.compile(r"(password['\"]?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE), r"\1***"),
)


class UserError(Exception):
    """A mistake the user can mend. The message is one line: what is wrong, where, what is allowed."""


def unknown(what: str, name: object, allowed: Iterable[str]) -> UserError:
    """The error for a name that is not in a list, with the nearest right one."""
    names, name = list(allowed), shortened(one_line(str(name)))
    if not names:
        return UserError(f"unknown {what} '{name}': there is none yet")
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return UserError(f"unknown {what} '{name}': {hint}allowed: {', '.join(names[:LISTED])}{more}")


class NothingCompleted(UserWarning):
    """A search in which every evaluation failed."""


def shown(value: object) -> str:
    """A value as a line may show it: as Python writes it, on one line and not too long."""
    try:
        return shortened(one_line(repr(value)))
    except ValueError:  # Python writes no integers of thousands of digits
        return "a number of thousands of digits"
    except Exception:  # of a user's class
        return f"a {type(value).__name__}"


def summary(error: BaseException) -> str:
    """Of any error: 'ZeroDivisionError: division by zero', in a line."""
    try:
        message = one_line(str(error))
    except Exception:  # of a user's class
        message = "its message cannot be read"
    return ": ".join([type(error).__name__, *([shortened(message, REASON)] if message else [])])


def whole_traceback(error: BaseException) -> bytes:
    """For a file."""
    return "".join(traceback.format_exception(error)).encode(errors="backslashreplace")


def shortened(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def counted(n: int, what: str) -> str:
    """'1 line', '2,000 lines'."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def one_line(text: str) -> str:
    """On one line, with what would steer a terminal (escapes, control characters) written out."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text)


def public_url(url: str) -> str:
    """A database URL as it may be printed: without the password, and without options, which may have one, too."""
    scheme, mark, rest = url.partition("://")
    before, at, place = rest.rpartition("@")
    if re.search("[/?#]", before):  # an @ in a place where it needs to be written as %40: what is secret is unknown
        return f"{scheme}{mark}..."
    return f"{scheme}{mark}{before.partition(':')[0]}{at}{re.split('[?#]', place)[0]}"


def without_passwords(text: str) -> str:
    """What a database says of a failed connection may quote the whole URL."""
    for secret, hidden in _SECRETS:
        text = secret.sub(hidden, text)
    return text
