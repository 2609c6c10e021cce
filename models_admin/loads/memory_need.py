"""What a deployment would take of its host's memory: as measured, as reckoned, or its files and a little."""

from __future__ import annotations

from collections.abc import Sequence

from models_admin.family import expected_memory
from models_admin.fit.memory_split import MIB, TAKEN_SHARE
from models_admin.loads.room import Card, Need
from models_admin.models import Deployment, Engine, Launch

# Of a model that the catalogue does not know: cache and buffers beside its files.
CACHE_SHARE = 0.2
LEAST_OVERHEAD = 64 * MIB
TENSOR_PARALLEL = "--tensor-parallel-size"
UTILISATION = {"vllm": "--gpu-memory-utilization", "sglang": "--mem-fraction-static"}


def of(deployment: Deployment, cards: Sequence[Card], *, has_gpu: bool, launch: Launch | None = None) -> Need | None:
    """None where nothing is known of its size. `launch` is that of a deployment that is not stored yet."""
    launch = launch or getattr(deployment, "launch", None)
    if has_gpu and launch and launch.program in TAKEN_SHARE:
        flags: dict[str, str] = dict(launch.flags)
        share = float(flags.get(UTILISATION[launch.program]) or TAKEN_SHARE[launch.program])
        count = int(flags.get(TENSOR_PARALLEL) or 1)
        # Cards of one machine are alike almost always; the largest is what would hold.
        return Need(int(share * max((card.total for card in cards), default=0)), cards=count)
    size = bytes_of(deployment, has_gpu=has_gpu)
    return None if size is None else Need(size)


def bytes_of(deployment: Deployment, *, has_gpu: bool) -> int | None:
    known = deployment.measured_bytes or deployment.expected_bytes or expected_memory.of(deployment, has_gpu=has_gpu)
    if known or deployment.engine.kind == Engine.Kind.DEEPSEEK:
        return known
    files = deployment.artifact.bytes
    return None if files is None else files + max(LEAST_OVERHEAD, int(files * CACHE_SHARE))
