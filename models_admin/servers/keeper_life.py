"""The life of one deployment's server: begun or taken over, awaited, watched, begun again, left alone, ended.

A life is cancelled when the site wants something newer or the keeper's process ends; the server then runs on, and the
next life finds it by its record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from models_admin.orders.launch_orders import LaunchOrder, Server, ServerStage, ServerWord
from models_admin.servers import keeper_health, keeper_process, launch_programs
from models_admin.servers.keeper_health import Health
from models_admin.servers.keeper_process import Ending, Group
from models_admin.servers.keeper_records import Place, Record
from models_admin.servers.keeper_wishes import write_private
from models_admin.servers.launch_programs import LaunchRefused
from models_admin.servers.server_log import Loading, is_out_of_memory, last_trouble, loading

T = TypeVar("T")
MAX_DETAIL = 300
# The same death, before another try and after the last.
DIED, LEFT_ALONE = "server_died", "server_ended"


@dataclass(frozen=True)
class Pauses:
    """All in seconds. `silence` is how long a log may stand still before the server is ready, `load` how long all may
    take. A server that was ready for `healthy` has no failures behind it.
    """

    look: float = 0.5
    tell: float = 5.0
    first_restart: float = 1.0
    longest_restart: float = 60.0
    healthy: float = 60.0
    silence: float = 600.0
    load: float = 3600.0
    patience: float = 10.0
    failures: int = 5


class _Failed(Exception):
    """A start, or a server, came to nothing; another try may do better."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail[:MAX_DETAIL]


@dataclass
class _Load:
    """How long a load has taken, and how long its log has stood still."""

    begun_at: float
    moved_at: float
    size: int = -1


class Life:
    def __init__(
        self, order: LaunchOrder, place: Place, *, key: str, tell: Callable[[ServerWord], None],
        pauses: Pauses, path: str | None, now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`key` is what requests to the server must bear, `path` where programs are looked for."""
        self.order, self._place, self._key, self._tell = order, place, key, tell
        self._pauses, self._path, self._now = pauses, path, now
        self._record = Record(order)

    async def live(self) -> None:
        """Until the order is done with: ended as told, refused, or quarantined. Raises OSError where disks fail."""
        runs = await self._take_over()
        server = self.order.server
        if server is None:
            self._say("ended")
            return
        try:
            while self._record.failures < self._pauses.failures:
                runs = await self._try(server, runs=runs)
            reason = LEFT_ALONE if self._record.reason == DIED else self._record.reason
            self._say("quarantined", reason=reason, detail=self._record.detail)
        except LaunchRefused as refused:
            self._say("quarantined", reason=refused.reason, detail=str(refused)[:MAX_DETAIL])

    async def _take_over(self) -> bool:
        """True where the server of this very order runs; whatever else was begun for the deployment is ended."""
        found = await in_thread(self._place.read)
        group = self._place.group(found)
        if found and found.order == self.order:
            self._record = found
            if self.order.server and group.is_running:
                return True
        await self._end(group)
        return False

    async def _try(self, server: Server, *, runs: bool) -> bool:
        """One start, until it is over. Raises LaunchRefused."""
        ready_at: float | None = None
        try:
            if not runs:
                await self._begin(server)
            await self._until_ready(server)
            ready_at = self._now()
            await self._until_dead()
        except _Failed as failed:
            was_healthy = ready_at is not None and self._now() - ready_at > self._pauses.healthy
            await self._note_failure(failed, in_a_row=1 if was_healthy else self._record.failures + 1)
        return False

    async def _begin(self, server: Server) -> None:
        self._say("starting", reason=self._record.reason, detail=self._record.detail)
        if reason := keeper_health.obstacle(server.bind, server.port):
            raise _Failed(reason, str(server.port))
        try:
            self._record = await in_thread(lambda: self._started(server))
        except OSError as error:
            raise _Failed("server_not_started", error.strerror or "") from error

    def _started(self, server: Server) -> Record:
        home, log = self._place.home, self._place.log
        start = launch_programs.start(server, home=home, key=self._key, path=self._path)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if start.file:
            write_private(start.file[0], start.file[1].encode())
        with log.open() as file:
            file.write(f"\n$ {' '.join(start.words)}\n".encode())
            file.flush()
            begins = log.size()
            group = keeper_process.begin(start, home, file.fileno())
        record = Record(self.order, group.pid, group.born, begins, self._record.failures)
        self._place.write(record)
        return record

    async def _until_ready(self, server: Server) -> None:
        load = _Load(self._now(), self._now())
        paths = launch_programs.ready_paths(server)
        while True:
            health = await keeper_health.ask(server.bind, server.port, paths, self._key)
            told = await in_thread(lambda: self._look_at_load(load))
            if health is Health.READY:
                self._say("ready")
                return
            is_loading = told.has_begun or health is Health.LOADING
            self._say("loading" if is_loading else "starting", progress=told.progress)
            await asyncio.sleep(self._pauses.look)

    def _look_at_load(self, load: _Load) -> Loading:
        """What the log tells. Raises _Failed where the server is dead, or has said nothing for too long."""
        self._look()
        size, now = self._place.log.size(), self._now()
        if size != load.size:
            load.size, load.moved_at = size, now
        if now - load.moved_at > self._pauses.silence:
            raise _Failed("server_silent")
        if now - load.begun_at > self._pauses.load:
            raise _Failed("server_slow")
        return loading(self._place.log.since(self._record.log_start))

    async def _until_dead(self) -> None:
        while True:
            await asyncio.sleep(self._pauses.look)
            await in_thread(self._look)

    def _look(self) -> None:
        """Raises _Failed where the server is dead."""
        group = self._place.group(self._record)
        if not group.is_running:
            raise self._death(group)
        if self._place.log.rotate():
            self._record = msgspec.structs.replace(self._record, log_start=0)
            self._place.write(self._record)

    def _death(self, group: Group) -> _Failed:
        code = group.exit_code
        text = self._place.log.end(secret=self._key)
        how = "" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
        detail = ": ".join(filter(None, (how, last_trouble(text))))
        return _Failed("out_of_memory" if is_out_of_memory(text) else DIED, detail)

    async def _note_failure(self, failed: _Failed, *, in_a_row: int) -> None:
        """Ends what is left of the server, and pauses where there is to be another try."""
        await self._end(self._place.group(self._record), failures=in_a_row, failed=failed)
        if in_a_row < self._pauses.failures:
            self._say("restarting", reason=failed.reason, detail=failed.detail)
            pause = self._pauses.first_restart * 3.0 ** (in_a_row - 1)
            await asyncio.sleep(min(pause, self._pauses.longest_restart))

    async def _end(self, group: Group, *, failures: int | None = None, failed: _Failed | None = None) -> None:
        ending = Ending(group, patience=self._pauses.patience, now=self._now)
        while not await in_thread(ending.step):  # noqa: ASYNC110 - processes tell nobody of their end
            await asyncio.sleep(min(self._pauses.look, 0.1))
        reason, detail = (failed.reason, failed.detail) if failed else (self._record.reason, self._record.detail)
        count = self._record.failures if failures is None else failures
        self._record = Record(self.order, failures=count, reason=reason, detail=detail)
        await in_thread(lambda: self._place.write(self._record))

    def _say(self, stage: ServerStage, *, progress: int | None = None, reason: str = "", detail: str = "") -> None:
        self._tell(ServerWord(self.order.deployment, self.order.attempt, stage, progress, reason, detail))


async def in_thread(act: Callable[[], T]) -> T:
    """What was begun is finished even when the caller is cancelled: a server without a record would be nobody's."""
    work: asyncio.Future[T] = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks and waits for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
