"""A host's side of a pull, against servers that behave and servers that don't: what lies on the disk in the end."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from models_admin.backends import fetch as fetching_files
from models_admin.backends.registry import Registries
from models_admin.orders.pull_orders import End, PullOrder, StopOrder, Told, Wanted
from models_admin.pulls import fetching, pull_sources
from models_admin.pulls.pull_sources import Place
from tests.models_admin.model_server import COMMIT, ModelServer, content, serving
from tests.processes import until_async

SIZE = 9_000_000  # more than two blocks
LIMIT = 6_000_000
FILE = "r1-q4.gguf"
SNAPSHOT = {"config.json": b'{"model_type": "qwen2"}', "model.safetensors": content(SIZE), "README.md": b"hello"}


@pytest.fixture
def hub() -> Iterator[ModelServer]:
    with serving() as server:
        server.files = {FILE: content(SIZE)}
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching_files, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(fetching, "TICK_SECONDS", 0.05)


@pytest.fixture
def place(hub: ModelServer, tmp_path: Path) -> Place:
    return Place(tmp_path, Registries(hugging_face=hub.address, token="hf_secret"), {hub.place}, spare_bytes=0)


@contextmanager
def limited() -> Iterator[None]:
    """The system's own limit on files of this process, which meets a write as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def gguf(**changes: Any) -> Wanted:
    values = {"source": "gguf", "ref": f"o/m/{FILE}", "digest": hashlib.sha256(content(SIZE)).hexdigest()}
    return Wanted(**{**values, "bytes": SIZE, **changes})


def snapshot() -> Wanted:
    return Wanted("hf", "o/m", COMMIT, None)


async def pulled(wanted: Wanted, place: Place, *, attempt: int = 1, job: int = 1) -> End | None:
    """The end that was told, if any."""
    told: list[Told] = []
    await fetching.pull(PullOrder(job, attempt, wanted), place, lambda word: bool(told.append(word)) or True)
    ends = [word.end for word in told if word.end is not None]
    assert len(ends) <= 1
    return ends[0] if ends else None


def left(place: Place) -> dict[str, int]:
    """What lies in the folder of models, with its size."""
    paths = [path for path in place.folder.rglob("*") if path.is_file() and ".pulls" not in path.parts]
    return {path.name: path.stat().st_size for path in paths}


async def test_a_file_of_a_hub_is_whole_verified_and_where_it_says(hub: ModelServer, place: Place) -> None:
    end = await pulled(gguf(), place)
    assert end is not None and (end.outcome, end.verified, end.bytes) == ("success", True, SIZE)
    assert await asyncio.to_thread(Path(end.path).read_bytes) == content(SIZE)
    assert left(place) == {FILE: SIZE}
    assert set(hub.keys) == {"Bearer hf_secret"}


async def test_the_token_stays_with_the_hub_when_it_leads_elsewhere(hub: ModelServer, place: Place) -> None:
    with serving() as network:
        network.files = hub.files
        hub.redirects[f"/o/m/resolve/main/{FILE}"] = f"{network.address}/{FILE}"
        end = await pulled(gguf(), place)
        assert end is not None and end.reason == "hub_refused", "a private address, and no TLS"
        assert network.keys == []


async def test_a_cut_connection_is_gone_on_from_where_it_was(hub: ModelServer, place: Place) -> None:
    hub.cuts_after = 2_500_000
    end = await pulled(gguf(), place)
    assert end is not None and end.verified
    starts = [int(asked.removeprefix("bytes=").rstrip("-") or 0) for asked in hub.ranges(FILE)]
    assert starts[0] == 0 and len(starts) >= 4
    assert starts == sorted(set(starts)), "each goes on from where the last one was cut"


async def test_behind_a_proxy_it_looks_names_up_and_cuts_are_gone_on_from(
    hub: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", hub.address)
    monkeypatch.delenv("no_proxy", raising=False)
    hub.cuts_after = 2_500_000
    end = await pulled(gguf(), Place(tmp_path, Registries(hugging_face="http://hub.example"), spare_bytes=0))
    assert end is not None and end.verified
    assert len(hub.ranges(FILE)) >= 4


async def test_a_server_without_ranges_is_read_from_the_beginning(hub: ModelServer, place: Place) -> None:
    await _stopped_at(hub, place, 5_000_000)
    hub.knows_ranges = False
    end = await pulled(gguf(), place, attempt=2)
    assert end is not None and end.verified
    assert left(place) == {FILE: SIZE}


async def test_a_server_without_ranges_that_cuts_is_given_up_in_words(hub: ModelServer, place: Place) -> None:
    hub.knows_ranges, hub.cuts_after = False, 5_000_000
    end = await pulled(gguf(), place)
    assert end is not None and (end.outcome, end.verified) == ("failure", False)
    assert len(hub.ranges(FILE)) == fetching_files.TRIES + 1
    assert FILE not in left(place)


async def test_a_file_that_is_not_what_was_pinned_is_not_kept(hub: ModelServer, place: Place) -> None:
    listed = hub.listing()
    hub.listing = lambda: listed  # type: ignore[method-assign]
    hub.files[FILE] = content(SIZE)[:-1] + b"!"
    end = await pulled(gguf(), place)
    assert end is not None and (end.outcome, end.verified, end.reason) == ("failure", False, "digest_differs")
    assert left(place) == {}


async def test_a_small_file_is_held_against_the_commit(hub: ModelServer, place: Place) -> None:
    hub.files = dict(SNAPSHOT)
    listed = hub.listing()
    hub.listing = lambda: listed  # type: ignore[method-assign]
    hub.files["config.json"] = b'{"model_type": "qwen3"}'
    end = await pulled(snapshot(), place)
    assert end is not None and end.reason == "digest_differs"


async def test_a_name_that_means_another_file_now_is_not_loaded(hub: ModelServer, place: Place) -> None:
    end = await pulled(gguf(digest="0" * 64), place)
    assert end is not None and end.reason == "digest_differs"
    assert hub.ranges(FILE) == []


@pytest.mark.parametrize("lie", [-1_000, 1_000])
async def test_a_lie_about_the_size_is_found(hub: ModelServer, place: Place, lie: int) -> None:
    hub.listed_sizes[FILE] = SIZE + lie
    end = await pulled(gguf(), place)
    assert end is not None and (end.outcome, end.reason) == ("failure", "size_differs")
    assert FILE not in left(place)


async def test_bytes_at_hand_that_were_never_written_are_loaded_anew(hub: ModelServer, place: Place) -> None:
    await _stopped_at(hub, place, 5_000_000)
    partial = next(place.folder.rglob("*.gguf.partial"))
    partial.write_bytes(bytes(partial.stat().st_size))
    end = await pulled(gguf(), place, attempt=2)
    assert end is not None and end.verified
    assert hub.ranges(FILE)[-1] == ""


async def test_what_is_at_hand_is_asked_of_nobody(hub: ModelServer, place: Place) -> None:
    await _stopped_at(hub, place, 5_000_000)
    end = await pulled(gguf(), place, attempt=2)
    assert end is not None and end.verified
    assert hub.ranges(FILE)[-1] == "bytes=5000000-"


async def test_an_end_that_nobody_heard_is_told_again(hub: ModelServer, place: Place) -> None:
    assert await pulled(gguf(), place)
    loaded = len(hub.ranges(FILE))
    end = await pulled(gguf(), place, attempt=2)
    assert end is not None and end.verified
    assert len(hub.ranges(FILE)) == loaded


async def test_an_order_that_comes_twice_or_late_is_done_once(hub: ModelServer, place: Place) -> None:
    assert await pulled(gguf(), place, attempt=2)
    asked = len(hub.asked)
    assert await pulled(gguf(), place, attempt=1) is None
    assert len(hub.asked) == asked


async def test_whoever_pulls_works_for_the_newest_attempt(hub: ModelServer, place: Place) -> None:
    hub.holds_at, told = 5_000_000, []
    first = asyncio.create_task(fetching.pull(PullOrder(1, 1, gguf()), place, lambda w: bool(told.append(w)) or True))
    await until_async(lambda: any(w.step and w.step.done >= 4_000_000 for w in told), "half of it came")
    assert await pulled(gguf(), place, attempt=2) is None
    hub.let_go.set()
    await first
    assert (told[-1].attempt, told[-1].end and told[-1].end.outcome) == (2, "success")
    assert len(hub.ranges(FILE)) == 1


async def test_a_cancelled_pull_leaves_nothing(hub: ModelServer, place: Place) -> None:
    await _stopped_at(hub, place, 8_900_000, discard=True)
    assert left(place) == {}
    assert await pulled(gguf(), place, attempt=1) is None, "the order of before is over"


async def test_a_cancellation_that_comes_after_the_last_byte_leaves_nothing(hub: ModelServer, place: Place) -> None:
    assert await pulled(gguf(), place)
    fetching.stop(StopOrder(1, 1, gguf(), discard=True), place, lambda _told: True)
    assert left(place) == {}


async def test_a_stop_that_comes_late_ends_no_later_attempt(hub: ModelServer, place: Place) -> None:
    assert await pulled(gguf(), place, attempt=2)
    fetching.stop(StopOrder(1, 1, gguf(), discard=True), place, lambda _told: True)
    assert left(place) == {FILE: SIZE}


async def test_what_does_not_fit_is_refused_before_the_first_byte(hub: ModelServer, place: Place) -> None:
    end = await pulled(gguf(), Place(place.folder, place.registries, spare_bytes=1 << 60))
    assert end is not None and end.reason == "disk_full"
    assert hub.asked == []


async def test_a_snapshot_is_what_engines_read_and_no_more(hub: ModelServer, place: Place) -> None:
    hub.files = {**SNAPSHOT, ".gitattributes": b"*", "figures/benchmark of r1.png": b"png"}
    end = await pulled(snapshot(), place)
    assert end is not None and end.verified, end
    assert left(place) == {"config.json": 23, "model.safetensors": SIZE}
    assert end.path == str(place.folder / "hf" / "o" / "m" / COMMIT[:12])


@pytest.mark.parametrize(
    "more",
    [
        {"pytorch_model.bin": b"p"},
        {"optimizer.PT": b"p"},
        {"old.pkl": b"p"},
        {"config.json": b'{"model_type": "x", "auto_map": {"AutoModel": "m.M"}}', "m.py": b"import os"},
        {"../../etc/passwd.json": b"{}"},
        {"/etc/passwd.json": b"{}"},
        {"-x.json": b"{}"},
        {"a\nb.json": b"{}"},
    ],
    ids=["bin", "pt", "pkl", "auto_map", "outside", "absolute", "option", "newline"],
)
async def test_programs_and_hostile_names_are_refused_before_the_weights(
    hub: ModelServer, place: Place, more: dict[str, bytes]
) -> None:
    hub.files = {**SNAPSHOT, **more}
    end = await pulled(snapshot(), place)
    assert end is not None and (end.outcome, end.reason) == ("failure", "files_refused")
    assert hub.ranges("model.safetensors") == []
    assert not [path for path in left(place) if not path.startswith("config.json")]


async def test_an_architecture_that_engines_bring_themselves_comes_without_its_programs(
    hub: ModelServer, place: Place
) -> None:
    config = b'{"model_type": "deepseek_v3", "auto_map": {"AutoModel": "modeling_deepseek.M"}}'
    hub.files = {**SNAPSHOT, "config.json": config, "modeling_deepseek.py": b"import os"}
    end = await pulled(snapshot(), place)
    assert end is not None and end.verified
    assert "modeling_deepseek.py" not in left(place)


NAMES = ["../../etc", "-x", "; rm -rf", "--trust-remote-code", "x" * 10_000, "a/b\nc", "evil.example/o/m", "o/../m"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("source", ["hf", "gguf", "ollama"])
async def test_hostile_names_are_refused_in_words(hub: ModelServer, place: Place, name: str, source: Any) -> None:
    end = await pulled(Wanted(source, name, COMMIT, 1, hub.address), place)
    assert end is not None and (end.outcome, end.reason) == ("failure", "name_refused")
    assert end.detail
    assert hub.asked == [] and left(place) == {}


def url_of(hub: ModelServer, **changes: Any) -> Wanted:
    return gguf(**{"source": "url", "ref": f"{hub.address}/{FILE}", **changes})


async def test_a_file_at_an_address_of_an_allowed_host_is_pulled(hub: ModelServer, place: Place) -> None:
    end = await pulled(url_of(hub), place)
    assert end is not None and end.verified
    assert set(hub.keys) == {""}, "the hub's token is none of its business"


@pytest.mark.parametrize(
    "changes", [{"digest": "abc"}, {"ref": "http://localhost:1/x.gguf"}, {"ref": "http://u:p@127.0.0.1/x.gguf"}]
)
async def test_an_address_needs_an_allowed_host_and_a_checksum(
    hub: ModelServer, place: Place, changes: dict[str, str]
) -> None:
    end = await pulled(url_of(hub, **changes), place)
    assert end is not None and (end.outcome, end.reason) == ("failure", "host_refused")
    assert hub.asked == []


async def _stopped_at(hub: ModelServer, place: Place, size: int, *, discard: bool = False) -> None:
    """A pull that was stopped with so many bytes at hand."""
    hub.holds_at, told = size, []
    order = PullOrder(1, 1, gguf())
    running = asyncio.create_task(fetching.pull(order, place, lambda word: bool(told.append(word)) or True))
    await until_async(lambda: any(w.step and w.step.done >= size - 5_000_000 for w in told), "bytes came")
    await until_async(lambda: any(n >= size * 0.4 for n in left(place).values()), "they lie there")
    fetching.stop(StopOrder(1, 1, gguf(), discard=discard), place, lambda _told: True)
    with suppress(asyncio.CancelledError):
        await running
    assert all(word.end is None for word in told)
    hub.holds_at = 0


def test_a_place_is_told_apart_by_its_pin(tmp_path: Path) -> None:
    here = Place(tmp_path)
    assert pull_sources.files_of(gguf(), here) != pull_sources.files_of(gguf(digest="1" * 64), here)


async def test_a_full_disk_is_told_and_what_came_is_kept(hub: ModelServer, place: Place) -> None:
    with limited():
        end = await pulled(gguf(), place)
    assert end is not None and (end.outcome, end.reason) == ("failure", "disk_full")
    assert list(left(place)) == [f"{FILE}.partial"] and 0 < left(place)[f"{FILE}.partial"] <= LIMIT


async def test_after_room_was_made_it_goes_on(hub: ModelServer, place: Place) -> None:
    with limited():
        assert await pulled(gguf(), place)
    end = await pulled(gguf(), place, attempt=2)
    assert end is not None and end.verified
    assert hub.ranges(FILE)[-1].startswith("bytes="), "from the bytes at hand"


async def test_a_disk_that_fills_up_meanwhile_ends_it(hub: ModelServer, place: Place) -> None:
    hub.holds_at = 5_000_000
    end = await pulled(gguf(bytes=None), Place(place.folder, place.registries, spare_bytes=1 << 60))
    assert end is not None and end.reason == "disk_full"


async def test_a_server_that_falls_silent_is_asked_again(
    hub: ModelServer, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_files, "SILENCE_SECONDS", 0.5)
    hub.holds_at = 5_000_000
    running = asyncio.create_task(pulled(gguf(), place))
    await until_async(lambda: len(hub.ranges(FILE)) > 1, "it is asked again")
    hub.let_go.set()
    end = await running
    assert end is not None and end.verified
    assert hub.ranges(FILE)[1] == "bytes=5000000-"
