"""The site's settings, read once by the supervisor: a wrong one is told in a sentence before anything starts."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

from r1web.supervisor.failure import CannotGoOn


def check(values: Mapping[str, str]) -> None:
    """Raise CannotGoOn where `values` beside the environment make no settings."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        importlib.import_module("r1web.settings")
    except ImproperlyConfigured as error:
        raise CannotGoOn(str(error)) from None
    finally:
        os.environ.clear()
        os.environ.update(before)
