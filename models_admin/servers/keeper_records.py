"""What the keeper has begun, as files: the next one, in another process, finds the servers that still run.

wishes/ID.json   what the site wants                 logs/ID.log   what the server wrote
records/ID.json  what was begun for it               run/ID/       the server's own folder, with its key
lock             held by the one keeper of the host
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from models_admin.orders.launch_orders import LaunchOrder
from models_admin.servers.keeper_process import Group
from models_admin.servers.keeper_wishes import write_private
from models_admin.servers.server_log import ServerLog


class Record(msgspec.Struct, frozen=True):
    """`pid` 0: nothing was begun, or it has ended. `log_start` is where its own lines begin, in bytes.

    `failures` in a row for this order, the last one's `reason` and `detail` beside them.
    """

    order: LaunchOrder
    pid: int = 0
    born: str = ""
    log_start: int = 0
    failures: int = 0
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Place:
    """Where the files of one deployment lie."""

    folder: Path
    deployment: int

    @property
    def home(self) -> Path:
        return self.folder.resolve() / "run" / str(self.deployment)

    @property
    def log(self) -> ServerLog:
        return ServerLog(self.folder / "logs" / f"{self.deployment}.log")

    def read(self) -> Record | None:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def write(self, record: Record) -> None:
        """Raises OSError."""
        write_private(self._record, msgspec.json.encode(record))

    def group(self, record: Record | None) -> Group:
        """Of what was begun; without a record whoever is in its folder."""
        return Group(record.pid, record.born, self.home) if record else Group(0, "", self.home)

    @property
    def _record(self) -> Path:
        return self.folder / "records" / f"{self.deployment}.json"


def places(folder: Path) -> list[Place]:
    """Of all deployments for which something was begun at some time."""
    names = (path.stem for path in sorted((folder / "records").glob("*.json")))
    return [Place(folder, int(name)) for name in names if name.isdecimal()]
