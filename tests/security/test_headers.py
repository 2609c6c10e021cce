"""What every answer carries."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from r1web import env

BACKEND = "django.contrib.auth.backends.ModelBackend"
PAGES = ["/", "/signin/", "/password/", "/nowhere/", "/setup/x/", "/healthz", "/v1/models", "/admin/", "/admin/login/"]


def directives(browser: Client, page: str) -> dict[str, str]:
    header = browser.get(page)["Content-Security-Policy"]
    return {part.split()[0]: part.partition(" ")[2] for part in header.split("; ")}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("is_signed_in", [False, True])
def test_every_page_has_a_policy_without_unsafe(page: str, is_signed_in: bool, owner: User, client: Client) -> None:
    if is_signed_in:
        client.force_login(owner, backend=BACKEND)
    found = directives(client, page)
    assert "unsafe" not in str(found)
    assert "*" not in str(found)
    assert found["default-src"] == "'none'"
    assert found["frame-ancestors"] == found["base-uri"] == "'none'"
    assert client.get(page)["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("page", ["/", "/signin/", "/nowhere/", "/v1/models"])
def test_the_sites_own_pages_ask_for_trusted_types(page: str, owner: User, client: Client) -> None:
    client.force_login(owner, backend=BACKEND)
    assert directives(client, page)["require-trusted-types-for"] == "'script'"
    assert directives(client, page)["trusted-types"] == "dompurify"


def test_the_admin_does_not_as_its_library_cannot(owner: User, client: Client) -> None:
    assert "require-trusted-types-for" not in directives(client, "/admin/login/")


def test_the_nonce_of_the_page_is_that_of_its_header_and_new_each_time(owner: User, client: Client) -> None:
    client.force_login(owner, backend=BACKEND)
    seen = set()
    for _ in range(2):
        response = client.get("/")
        nonce = response["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
        assert nonce and f'nonce="{nonce}"' in response.content.decode()
        seen.add(nonce)
    assert len(seen) == 2


def test_a_page_without_an_inline_script_allows_none(client: Client, db: None) -> None:
    assert "nonce" not in client.get("/livez")["Content-Security-Policy"]


async def test_the_asynchronous_way_carries_the_policy_too(async_client: object) -> None:
    response = await async_client.get("/v1/models")  # type: ignore[attr-defined]
    assert response.status_code == 401
    assert "default-src 'none'" in response["Content-Security-Policy"]


def test_a_host_name_cannot_write_into_the_policy(client: Client, db: None) -> None:
    response = client.get("/livez", headers={"Host": "localhost; script-src *"})
    assert "script-src *" not in response.get("Content-Security-Policy", "")


def test_a_foreign_host_is_refused(client: Client, db: None) -> None:
    assert client.get("/signin/", headers={"Host": "evil.example"}).status_code == 400


def test_cookies_cannot_be_read_by_scripts_or_sent_from_other_sites(owner: User, client: Client) -> None:
    client.post("/signin/", {"username": "owner", "password": "a long enough password"})
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"


def test_the_deployment_check_is_clean_in_production(tmp_path: Path) -> None:
    values = {**os.environ, "R1WEB_DATA": str(tmp_path), "R1WEB_HTTPS": "1", "R1WEB_HSTS": "1"}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"]
    done = subprocess.run(command, env=values, cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_the_secret_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    (first,) = env.secret_keys(file)
    assert len(first) >= 50 and env.secret_keys(file) == [first]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
