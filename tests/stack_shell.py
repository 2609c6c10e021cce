"""A door into the ORM of a running stack: one JSON request a line on standard input, one JSON answer a line.

A request is {"code": Python statements, "names": {…}}; the answer is what they leave in `result`, or {"error": …}.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from typing import Any

import django
from django.core.management import call_command


def command(*words: str) -> str:
    """Run a management command and return what it printed."""
    output = io.StringIO()
    call_command(*words, stdout=output, stderr=output)
    return output.getvalue()


def _names() -> dict[str, Any]:
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    import accounts.models
    import chat.models
    import models_admin.models

    found: dict[str, Any] = {"command": command, "Session": Session, "SessionStore": SessionStore}
    for module in (accounts.models, chat.models, models_admin.models):
        found |= {name: value for name, value in vars(module).items() if isinstance(value, type)}
    return found


def main() -> None:
    django.setup()
    names = _names()
    for line in sys.stdin:
        request = json.loads(line)
        scope = {**names, **request["names"]}
        try:
            exec(request["code"], scope)
            answer = {"result": scope.get("result")}
        except Exception:  # whatever it was, the caller raises it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
