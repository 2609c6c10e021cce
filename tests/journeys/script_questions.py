"""A script's questions to a site of several hosts, and a shell in it."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.supervisor.site_process import SiteProcess

MODEL = "o/m/alpha.gguf"


def shell(site: SiteProcess, code: str) -> str:
    return site.manage(
        "shell", "-v", "0", "-c", f"from chat.models import *; from models_admin.models import *; {code}"
    )


class Asking:
    """A script's questions to the model that two machines have."""

    def __init__(self, site: SiteProcess) -> None:
        self._site = site
        self._token = shell(
            site,
            "from accounts import tokens; from accounts.models import User; "
            "print(tokens.create(User.objects.get(username='admin'), 'script')[1])",
        ).strip()

    def ask(self, question: str = "12 + 34 =", **more: Any) -> str:
        messages = [{"role": "user", "content": question}]
        body = json.dumps({"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 200, **more})
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"http://localhost:{self._site.port}/v1/chat/completions"
        with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=150) as response:
            found: str = json.load(response)["choices"][0]["message"]["content"]
            return found

    def hosts(self) -> set[str]:
        """Where answers were written."""
        rows = "Host.objects.filter(engines__deployments__in=Generation.objects.values('deployment'))"
        return set(shell(self._site, f"print(*{rows}.values_list('name', flat=True))").split())
