"""The sum that is stored with a deployment, beside what its engine tells."""

from __future__ import annotations

from typing import Any

import pytest

from models_admin.engines import fleet
from models_admin.family import expected_memory
from models_admin.fit.memory_fit import GIB
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

pytestmark = pytest.mark.django_db


def deployed(ref: str, *, kind: str = "ollama", **artifact: Any) -> Deployment:
    engine = Engine.objects.create(host=fleet.local_host(), kind=kind, base_url=f"http://127.0.0.1:9/{kind}")
    model = CatalogueModel.objects.create(key=ref, name=ref)
    files = Artifact.objects.create(model=model, source="api", ref=ref, **artifact)
    return Deployment.objects.create(engine=engine, artifact=files, context_tokens=8192, slots=1)


@pytest.mark.parametrize(
    ("ref", "artifact", "gib"),
    [
        ("deepseek-r1:7b", {}, 4.36 + 0.44 + 1),
        ("deepseek-r1:7b", {"bytes": 8 * GIB}, 8 + 0.44 + 1),
        ("deepseek-r1:7b-qwen-distill-fp16", {}, 14.19 + 0.44 + 1),
        ("deepseek-r1:671b", {}, 376.25 + 38.13 + 1),  # a file of Ollama's keeps every head
    ],
)
def test_the_sum_is_that_of_the_files_that_are_loaded(ref: str, artifact: dict[str, Any], gib: float) -> None:
    found = expected_memory.of(deployed(ref, **artifact))
    assert found is not None and found / GIB == pytest.approx(gib, abs=0.02)


def test_without_a_gpu_there_is_no_overhead_of_one() -> None:
    row = deployed("deepseek-r1:7b")
    found = expected_memory.of(row, has_gpu=False)
    assert found is not None and found / GIB == pytest.approx(4.36 + 0.44 + 0.17, abs=0.02)


def test_nothing_is_expected_of_what_nobody_knows() -> None:
    assert expected_memory.of(deployed("smollm2:135m")) is None
    assert expected_memory.of(deployed("RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16", kind="vllm")) is None
