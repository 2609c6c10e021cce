"""A machine joins a site as a host: it asks with its one-time code, and keeps what it is told for its agent."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from models_admin.hosts import membership
from models_admin.hosts.membership import Membership
from r1web.supervisor import stamps
from r1web.supervisor.arguments import HOST_FILE, Arguments
from r1web.supervisor.failure import CannotGoOn

SECONDS = 15.0
MOST_BYTES = 64 * 1024
OTHER_NAME = {62, 64}  # OpenSSL's: the certificate names another host, or another address
assert HOST_FILE == membership.FILE


def join(wanted: Arguments) -> Membership:
    """Ask the site and keep its answer. Raises CannotGoOn with the site's own sentence where it refuses."""
    wish = {"code": wanted.code, "name": wanted.name, "address": own_address(wanted.join)}
    answer = _answer(f"{wanted.join}/hosts/join/", wish, _trust(wanted.certificate))
    try:
        member = msgspec.structs.replace(membership.decode(answer), site=wanted.join)
    except msgspec.MsgspecError:
        raise CannotGoOn(f"What answers at {wanted.join} is no R1 Web: check the address.") from None
    stamps.write_private(wanted.data / HOST_FILE, msgspec.json.encode(member).decode() + "\n")
    return member


def known(wanted: Arguments) -> Membership:
    """What an earlier join left here."""
    try:
        found = membership.read(wanted.data)
    except msgspec.MsgspecError:
        found = None
    if found is None:
        raise CannotGoOn(
            f"{wanted.data / HOST_FILE} cannot be read: remove it and join again with a new code (--join URL --code C)."
        )
    return found


def own_address(site: str) -> str:
    """The address of this machine on the way to the site: there its engines will listen. Nothing is sent."""
    parts = urlsplit(site)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        family, kind, _, _, place = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as line:
            line.connect(place)
            return str(line.getsockname()[0]).partition("%")[0]
    except OSError as error:
        raise CannotGoOn(f"{site} cannot be reached ({error.strerror}): check the address and the network.") from None


class _Straight(urllib.request.HTTPRedirectHandler):
    """A code is for the site that was named, and for nobody to whom that would send us on."""

    def redirect_request(self, *words: Any, **more: Any) -> None:
        return None


def _trust(certificate: Path | None) -> ssl.SSLContext:
    """For this one question. In the environment it would stand for all that the agent ever asks, hubs of models too."""
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise CannotGoOn(f"{certificate} cannot be read as a certificate ({error.strerror}): copy it anew.") from None


def _answer(url: str, wish: dict[str, str], trust: ssl.SSLContext) -> bytes:
    request = urllib.request.Request(url, json.dumps(wish).encode(), {"Content-Type": "application/json"})
    try:
        opener = urllib.request.build_opener(_Straight, urllib.request.HTTPSHandler(context=trust))
        with opener.open(request, timeout=SECONDS) as answer:
            return bytes(answer.read(MOST_BYTES))
    except urllib.error.HTTPError as error:
        raise CannotGoOn(_refusal(url, error)) from None
    except (OSError, http.client.HTTPException) as error:
        raise CannotGoOn(_silence(url, error)) from None


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(MOST_BYTES))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if error.code in (301, 302, 307, 308):
        return f"The site sends us to {error.headers.get('Location', 'another address')}: join with that address."
    if error.code == http.HTTPStatus.BAD_REQUEST:
        return f"The site does not go by the name in {url}: join with an address that it prints, or see R1WEB_HOSTS."
    return f"What answers at {url} takes no hosts ({error.code}): check the address."


def _silence(url: str, error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        if reason.verify_code in OTHER_NAME:
            return f"The site's certificate is not for the name in {url}: join with an address that the site prints."
        return (
            "The site's certificate is not known here: copy tls/certificate.pem from its data directory, then join "
            "with the same code and --certificate FILE."
        )
    if isinstance(error, http.client.RemoteDisconnected) and url.startswith("http:"):
        return f"{url} hangs up: does the site speak https (bin/up --tls)?"
    return f"{url} does not answer ({reason}): is the site up, and reachable from here?"
