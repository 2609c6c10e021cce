"""What `/api/show` of Ollama tells of a model."""

from __future__ import annotations

from typing import Any

from models_admin.backends.facts import ModelFacts
from models_admin.backends.reading import fields_of, integer, text


def read_show(name: str, answer: dict[str, Any]) -> ModelFacts:
    details, info = fields_of(answer.get("details")), fields_of(answer.get("model_info"))
    architecture = text(info.get("general.architecture"))
    capabilities = answer.get("capabilities")
    known = capabilities if isinstance(capabilities, list) else None
    return ModelFacts(
        name,
        integer(info.get(f"{architecture}.context_length")),
        integer(info.get("general.parameter_count")),
        text(details.get("quantization_level")),
        source=text(details.get("parent_model")),
        thinks=None if known is None else "thinking" in known,
        uses_tools=None if known is None else "tools" in known,
    )
