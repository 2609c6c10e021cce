"""Failures that a person can mend."""

from __future__ import annotations

import errno


class CannotGoOn(Exception):
    """One sentence that says what is wrong and what to do about it."""


def sentence_for(error: OSError) -> str:
    """What an operating system error means for the person at the terminal."""
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"The disk is full{place}: free some space and start again."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return (
            f"R1 Web may not write there{place}: give this user the right to, or choose another place with --data DIR."
        )
    return f"The system refused a step{place}: {error.strerror or error}."
