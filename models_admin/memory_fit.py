"""Whether a model fits into the memory of given GPUs, part by part, before anything is downloaded."""

from __future__ import annotations

from models_admin.model_shape import KV_BYTES, Mla, Shape

__all__ = ["KV_BYTES", "Mla", "Shape"]
