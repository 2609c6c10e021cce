"""The site from another machine's point of view, and on databases of one's own."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from r1web.supervisor import redis_server, throwaway_postgres
from r1web.supervisor.site import lan_addresses
from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import SiteProcess, free_port, until


def outer_address() -> str:
    found = [address for address in lan_addresses() if ":" not in address and not address.startswith("127.")]
    if not found:
        pytest.skip("this machine has no address but loopback")
    return found[0]


def sign_in(base: str, password: str) -> int:
    """Sign in as a browser would, Origin and cookies included; returns the last page's status."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = browser.open(f"{base}/signin/", timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    fields = {"csrfmiddlewaretoken": token[1], "username": "admin", "password": password}
    wish = urllib.request.Request(f"{base}/signin/", urllib.parse.urlencode(fields).encode(), {"Origin": base})
    with browser.open(wish, timeout=10) as answer:
        assert "/signin/" not in answer.url, "still at the door"
        status: int = answer.status
        return status


def test_with_host_one_signs_in_at_the_machines_other_address(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse battery\n")
    words = ("--host", "0.0.0.0", "--admin-password-file", str(tmp_path / "password"))
    address, site = outer_address(), SiteProcess(prepared(tmp_path / "data"), free_port(), *words)
    try:
        site.wait_until_ready()
        base = f"http://{address}:{site.port}"
        assert f"{base}/" in site.output
        assert "/setup/" not in site.output
        assert sign_in(base, "correct horse battery") == http.HTTPStatus.OK
    finally:
        site.end()


@pytest.fixture(scope="module")
def tls_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    words = ("--host", "0.0.0.0", "--tls", "--redis-bind", f"0.0.0.0:{free_port()}")
    site = SiteProcess(prepared(tmp_path_factory.mktemp("tls") / "data"), free_port(), *words)
    try:
        site.wait_until_ready()
        yield site
    finally:
        site.end()


def test_tls_serves_a_certificate_that_names_every_address(tls_site: SiteProcess) -> None:
    # The certificate is its own authority: a client that trusts it accepts the address as well.
    trust = ssl.create_default_context(cafile=str(tls_site.data / "tls" / "certificate.pem"))
    line = http.client.HTTPSConnection(outer_address(), tls_site.port, timeout=10, context=trust)
    line.request("GET", "/signin/")
    answer = line.getresponse()
    assert answer.status == http.HTTPStatus.OK
    assert "Secure" in (answer.getheader("Set-Cookie") or "Secure")


def test_a_machine_joins_over_tls_once_it_has_the_certificate(tls_site: SiteProcess, tmp_path: Path) -> None:
    place, code = f"{outer_address()}:{tls_site.port}", json.loads(tls_site.manage("host", "code", "--json"))["code"]
    copied = tmp_path / "certificate.pem"
    shutil.copy(tls_site.data / "tls" / "certificate.pem", copied)
    (tmp_path / "no.pem").write_text("no certificate")
    refusals = {
        (f"http://{place}",): "does the site speak https",
        (f"https://{place}",): "certificate is not known here: copy tls/certificate.pem",
        (f"https://{place}", "--certificate", "no.pem"): "no.pem cannot be read as a certificate",
        (f"https://127.0.0.2:{tls_site.port}", "--certificate", str(copied)): "certificate is not for the name in",
    }
    for words, sentence in refusals.items():
        refused = SiteProcess(Path("host"), free_port(), "--code", code, "--join", *words, folder=tmp_path)
        assert refused.process.wait(60) == 2
        assert sentence in refused.output.splitlines()[-1]
    words = ("--join", f"https://{place}", "--certificate", "certificate.pem", "--name", "gpu-2")
    host = SiteProcess(Path("host"), free_port(), "--code", code, *words, folder=tmp_path)
    try:
        host.wait_until_ready()
        assert not any("certificate.pem" in value for value in host.children()["Agent"].environ().values())
    finally:
        host.end()


def test_behind_an_https_proxy_health_is_still_asked_in_plain_http(tmp_path: Path) -> None:
    site = SiteProcess(prepared(tmp_path / "data"), free_port(), R1WEB_HTTPS="1")
    try:
        site.wait_until_ready()
        assert site.answers("/healthz") and site.answers("/livez")
        assert not site.answers("/signin/")
    finally:
        site.end()


def test_a_database_and_a_redis_of_ones_own_replace_the_built_in_ones(tmp_path: Path) -> None:
    if not throwaway_postgres.programs():
        pytest.skip("PostgreSQL is not installed")
    with ExitStack() as stack:
        database = stack.enter_context(throwaway_postgres.running())
        redis_port = free_port()
        words = [str(redis_server.binary()), "--port", str(redis_port), "--dir", str(tmp_path), "--save", ""]
        redis = stack.enter_context(subprocess.Popen(words, stdout=subprocess.DEVNULL))
        stack.callback(redis.terminate)
        until(lambda: answers(redis_port), "the other Redis answers")
        address = f"redis://127.0.0.1:{redis_port}/0"
        site = SiteProcess(tmp_path / "data", free_port(), DATABASE_URL=database, REDIS_URL=address)
        stack.callback(site.end)
        site.wait_until_ready()
        assert "Redis" not in site.children()
        assert not (site.data / "db.sqlite3").exists()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
