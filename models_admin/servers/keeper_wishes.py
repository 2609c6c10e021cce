"""What shall run on this host, as files: the site's newest word for each deployment. No process is touched here.

A message that comes again, late or out of order is told by its attempt, long after the server has ended, too.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from models_admin.orders.launch_orders import LaunchOrder

FOLDER = "wishes"


class _Wish(msgspec.Struct, frozen=True):
    """`is_settled`: it wants nothing, the site knows that nothing runs, and only the attempt is still of use."""

    order: LaunchOrder
    is_settled: bool = False


def note(folder: Path, order: LaunchOrder) -> bool:
    """Any process of the host may note an order. False where it is not newer than what is known. Raises OSError."""
    with _alone(folder):
        known = _read(_path(folder, order.deployment))
        if known and known.order.attempt >= order.attempt:
            if known.is_settled and known.order == order:
                _write(folder, _Wish(order))  # whoever asks again has not heard of the end
            return False
        _write(folder, _Wish(order))
        return True


def orders(folder: Path) -> list[LaunchOrder]:
    """What the keeper has to see to."""
    wishes = (_read(path) for path in sorted((folder / FOLDER).glob("*.json")))
    return [wish.order for wish in wishes if wish and not wish.is_settled]


def settle(folder: Path, order: LaunchOrder) -> None:
    """The site knows of the end; without effect where it wants something newer by now."""
    with _alone(folder):
        known = _read(_path(folder, order.deployment))
        if known and known.order == order and order.server is None:
            _write(folder, _Wish(order, is_settled=True))


def write_private(path: Path, content: bytes) -> None:
    """Replace a file whole, for its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    (folder / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / FOLDER / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _path(folder: Path, deployment: int) -> Path:
    return folder / FOLDER / f"{deployment}.json"


def _read(path: Path) -> _Wish | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Wish)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _write(folder: Path, wish: _Wish) -> None:
    write_private(_path(folder, wish.order.deployment), msgspec.json.encode(wish))
