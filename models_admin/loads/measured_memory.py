"""What a loaded model really takes, beside what was reckoned: by the engine's own word, else by the system's.

Ollama tells the sum of llama.cpp's buffers. Where an engine tells nothing and runs on this machine, its process is
measured: its proportional share of memory (PSS: the mapped file counts as far as it is loaded, shared libraries by
their share), and what the driver says it holds of the GPUs.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import psutil

from models_admin.backends.base import BackendError, Endpoint
from models_admin.backends.drivers import open_driver
from models_admin.engines import engine_address
from models_admin.family.expected_memory import Comparison
from models_admin.fit import gpus
from models_admin.loads.probing import endpoint_of
from models_admin.models import Deployment

# A tunnel or a container's proxy listens in the place of an engine; what it takes says nothing of the model.
TOO_LITTLE = 10


def compare(deployment: Deployment, *, expected: int) -> Comparison | None:
    """Measure the deployment and keep both figures with it; None where nothing can be measured."""
    measured = measure(deployment, least=expected // TOO_LITTLE)
    deployment.expected_bytes, deployment.measured_bytes = expected, measured
    deployment.save(update_fields=["expected_bytes", "measured_bytes"])
    return Comparison(expected, measured) if measured else None


def measure(deployment: Deployment, *, least: int = 0) -> int | None:
    """Bytes that the loaded model takes; a process with less than `least` is none. Raises SecretUnreadable."""
    engine = deployment.engine
    endpoint = endpoint_of(engine)
    told = asyncio.run(_told(endpoint, deployment.artifact.ref))
    if told:
        return told
    parts = urlsplit(engine.base_url)
    pid = _listening(parts.port) if parts.hostname in engine_address.LOOPBACK and parts.port else None
    held = of_process(pid) if pid else None
    return held if held and held >= least else None


def of_process(pid: int) -> int | None:
    """Bytes of a process and its children in memory and on GPUs."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        memory = sum(_memory(each) for each in family)
    except psutil.Error:
        return None
    pids = {each.pid for each in family}
    return memory + sum(held.bytes for gpu in gpus.read() for held in gpu.foreign if held.pid in pids)


def _memory(process: psutil.Process) -> int:
    info = process.memory_full_info()
    return int(getattr(info, "pss", info.uss))  # macOS has no PSS


def _listening(port: int) -> int | None:
    """The process that listens on a port of this machine, as far as it is ours to see."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return None  # macOS shows them to the administrator only
    for each in connections:
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
            return each.pid
    return None


async def _told(endpoint: Endpoint, model: str) -> int | None:
    try:
        async with open_driver(endpoint) as driver:
            rows = await driver.loaded()
    except BackendError:
        return None
    # Ollama writes :latest behind a name without a tag.
    return next((row.memory_bytes for row in rows if row.name in {model, f"{model}:latest"}), None)
