"""Failures that a person can mend."""

from __future__ import annotations

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class CannotGoOn(Exception):
    """One sentence that says what is wrong and what to do about it."""


def sentence_for(error: OSError) -> str:
    """What an operating system error means for the person at the terminal, and what to do."""
    advice = {
        **dict.fromkeys(FULL, "free some space and start again"),
        **dict.fromkeys(FORBIDDEN, "give this user the right to, or choose another place with --data DIR"),
    }.get(error.errno or 0)
    return f"{reason_of(error)}: {advice}." if advice else f"{reason_of(error)}."


def reason_of(error: OSError) -> str:
    """The same without advice and full stop."""
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in FULL:
        return f"The disk is full{place}"
    if error.errno in FORBIDDEN:
        return f"R1 Web may not write there{place}"
    return f"The system refused a step{place}: {error.strerror or error}"
