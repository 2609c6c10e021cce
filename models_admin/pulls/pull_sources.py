"""The sources of a pull behind one protocol: a hub of models, an address, or an Ollama that fetches itself.

Runs on the host: no database. Names are checked here again, whatever the site has let through.
"""

from __future__ import annotations

from collections.abc import Set
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, urlsplit

from models_admin.backends import registry
from models_admin.backends.addresses import place_of
from models_admin.backends.base import BackendError, BadRequest, Endpoint, ModelMissing, Pulls
from models_admin.backends.drivers import open_driver
from models_admin.backends.fetch import Meter, fetch
from models_admin.backends.hub import Rules, object_in
from models_admin.backends.partial_file import DigestDiffers, DiskFull, FileWish
from models_admin.backends.registry import Registries, RemoteFile
from models_admin.family import model_names
from models_admin.orders.pull_orders import Wanted
from models_admin.pulls.pull_claims import work_folder

# What an engine reads of a repository. Pictures, other formats and programs stay where they are.
READ_BY_ENGINES = {".safetensors", ".json", ".model", ".txt", ".jinja", ".tiktoken"}
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
# Architectures whose code the engines bring themselves: what `auto_map` names is neither loaded nor run.
KNOWN_TO_ENGINES = {"deepseek_v2", "deepseek_v3"}
SPARE_BYTES = 1_000_000_000


class FilesRefused(BadRequest):
    """The repository brings programs, or names that are none."""

    code: ClassVar[str] = "files_refused"


class HostRefused(BadRequest):
    """The address is not one of the hosts that may be loaded from."""

    code: ClassVar[str] = "host_refused"


@dataclass(frozen=True)
class Place:
    """This host: where models lie, whom it may ask, and how much of the disk stays free (bytes)."""

    folder: Path
    registries: Registries = field(default_factory=Registries)
    allowed_hosts: Set[str] = field(default_factory=frozenset)
    spare_bytes: int = SPARE_BYTES


class Source(Protocol):
    """Fetches all files of what is wanted. `fetch` returns where they are and raises BackendError."""

    async def fetch(self, meter: Meter) -> str: ...


def source_for(wanted: Wanted, place: Place) -> Source:
    """Raises NameRefused, HostRefused."""
    match wanted.source:
        case "ollama":
            return OllamaSource(wanted)
        case "url":
            return UrlSource(wanted, place)
        case _:
            return HubSource(wanted, place)


def files_of(wanted: Wanted, place: Place) -> Path:
    """The folder that holds the files once all are there. Raises NameRefused, HostRefused."""
    pin = wanted.digest[:12] or "unpinned"
    if not pin.isalnum():
        raise FilesRefused("the digest is none")
    match wanted.source:
        case "ollama":
            name = model_names.ollama(wanted.ref)
            return place.folder / "ollama" / name.namespace / name.model / f"{name.tag}@{pin}"
        case "url":
            return place.folder / "url" / pin
        case "hf":
            repository = model_names.repository(wanted.ref).repository
        case _:
            repository = model_names.gguf(wanted.ref).repository
    return place.folder / wanted.source / repository / pin


class OllamaSource:
    """Ollama keeps its files itself. It verifies layers; that the name still means what is pinned is asked after it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self._name = wanted, str(model_names.ollama(wanted.ref))

    async def fetch(self, meter: Meter) -> str:
        async with open_driver(Endpoint(self._wanted.engine_url, kind="ollama")) as driver:
            assert isinstance(driver, Pulls)
            try:
                await self._pull(driver, meter)
            except BackendError as error:
                raise _as_meant(error) from error
            found = {row.name: row.digest.removeprefix("sha256:") for row in await driver.models()}
        if self._name not in found:
            raise ModelMissing(f"{self._name} is not in the engine's list")
        if self._wanted.digest and found[self._name] != self._wanted.digest:
            raise DigestDiffers(f"{self._name} means {found[self._name][:12]} now")
        return self._name

    async def _pull(self, driver: Pulls, meter: Meter) -> None:
        layers: dict[str, tuple[int, int]] = {}
        async with aclosing(driver.pull(self._name)) as steps:
            async for step in steps:
                meter.stage = "verifying" if step.status.startswith("verifying") else "loading"
                if step.digest:
                    _count(meter, layers, step.digest, step.done, step.total)


def _as_meant(error: BackendError) -> BackendError:
    """Inside a 200 Ollama tells an error by its text alone."""
    told = str(error)
    if "digest mismatch" in told:
        return DigestDiffers(told)
    return DiskFull(told) if "no space left" in told else error


def _count(meter: Meter, layers: dict[str, tuple[int, int]], digest: str, done: int, total: int) -> None:
    """Layers come one after another, each with its own count: what is shown is the sum."""
    if digest not in layers:
        meter.have(done)  # a layer begins with what was there before
    else:
        meter.got(done - layers[digest][0])
    layers[digest] = (done, max(total, done))
    meter.total = max(meter.total or 0, sum(size for _done, size in layers.values()))


class HubSource:
    """A repository at a commit, or the GGUF files of one model, file after file."""

    def __init__(self, wanted: Wanted, place: Place) -> None:
        self._wanted, self._place = wanted, place
        is_gguf = wanted.source == "gguf"
        self._name = model_names.gguf(wanted.ref) if is_gguf else model_names.repository(wanted.ref)
        self._is_one_file = is_gguf and len(self._name.shards) == 1 and len(wanted.digest) == 64
        self._revision = "main" if self._is_one_file or not wanted.digest else wanted.digest

    async def fetch(self, meter: Meter) -> str:
        where = self._place.registries
        listed = await registry.hugging_face(where, self._name.repository, self._revision)
        files = self._gguf(listed.files) if self._wanted.source == "gguf" else chosen(self._name.repository, listed)
        meter.total = sum(file.bytes for file in files)
        final = files_of(self._wanted, self._place)
        work = work_folder(final)
        if final.exists():
            final.rename(work)  # an end that nobody heard: what lies there is looked at again
        for file in files:
            await self._one(file, work, meter)
        work.parent.mkdir(parents=True, exist_ok=True)
        work.rename(final)
        return str(final / files[0].name if self._wanted.source == "gguf" else final)

    async def _one(self, file: RemoteFile, work: Path, meter: Meter) -> None:
        target = work / file.name
        if target.exists() and target.stat().st_size == file.bytes:  # it got its name after it was verified
            meter.have(file.bytes)
        else:
            where = self._place.registries
            path = f"{self._name.repository}/resolve/{self._revision}/{file.name}"
            url = f"{where.hugging_face.rstrip('/')}/{quote(path)}"
            headers = {"Authorization": f"Bearer {where.token}"} if where.token else {}
            wish = FileWish(url, file.bytes, file.digest, file.git_digest)
            await fetch(wish, target, Rules(headers=headers), meter)
        if file.name == "config.json":
            refuse_code(object_in(target.read_bytes(), file.name))

    def _gguf(self, listed: tuple[RemoteFile, ...]) -> list[RemoteFile]:
        by_name = {file.name: file for file in listed}
        missing = [name for name in self._name.shards if name not in by_name]
        if missing:
            raise ModelMissing(f"{self._name.repository} has no file {model_names.shown(missing[0])}")
        files = [by_name[name] for name in self._name.shards]
        if self._is_one_file and files[0].digest != self._wanted.digest:
            raise DigestDiffers(f"{files[0].name} is another file upstream now")
        return files


class UrlSource:
    """One file at an address of an allowed host; its checksum is what it is trusted by."""

    def __init__(self, wanted: Wanted, place: Place) -> None:
        self._wanted, self._place = wanted, place
        if len(wanted.digest) != 64:
            raise HostRefused("a file from an address needs its SHA-256")
        self._name = model_names.file_at(wanted.ref)
        host, where = urlsplit(wanted.ref).hostname, _place(wanted.ref)
        if host not in place.allowed_hosts and where not in place.allowed_hosts:
            raise HostRefused(f"{host} is no host that models may come from")

    async def fetch(self, meter: Meter) -> str:
        final = files_of(self._wanted, self._place)
        work = work_folder(final)
        if final.exists():
            final.rename(work)
        target = work / self._name
        if target.exists():
            target.rename(target.with_name(f"{target.name}.partial"))
        trusted = frozenset(_place(f"https://{host}") for host in self._place.allowed_hosts)
        wish = FileWish(self._wanted.ref, self._wanted.bytes, self._wanted.digest)
        await fetch(wish, target, Rules(trusted=trusted), meter)
        work.rename(final)
        return str(final / self._name)


def chosen(repository: str, listed: registry.Resolved) -> list[RemoteFile]:
    """What an engine reads, small files first: their word decides about the large ones. Raises FilesRefused."""
    files = [file for file in listed.files if not file.name.startswith(".git")]
    for file in files:
        suffix = PurePosixPath(file.name).suffix.lower()
        if suffix in PICKLES:
            raise FilesRefused(f"{model_names.shown(file.name)} is a pickle, which can run programs")
        if suffix in READ_BY_ENGINES:
            try:
                model_names.repository(f"{repository}/{file.name}")
            except model_names.NameRefused as error:
                raise FilesRefused(str(error)) from error
    kept = [file for file in files if PurePosixPath(file.name).suffix.lower() in READ_BY_ENGINES]
    if not any(file.name.endswith(".safetensors") for file in kept):
        raise FilesRefused("it has no weights in safetensors format")
    return sorted(kept, key=lambda file: (file.name != "config.json", file.name.endswith(".safetensors"), file.name))


def refuse_code(config: dict[str, Any]) -> None:
    """Raises FilesRefused for a model that only runs with programs of its repository."""
    if config.get("auto_map") and config.get("model_type") not in KNOWN_TO_ENGINES:
        raise FilesRefused("config.json names programs of the repository (auto_map)")


def _place(url: str) -> str:
    try:
        return place_of(url)
    except OSError as error:
        raise HostRefused(str(error)) from error
