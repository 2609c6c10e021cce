"""Machines join as hosts by a one-time code, and leave. Every step is audited; only digests of codes are kept."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from secrets import token_hex, token_urlsafe

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from live.redis import RedisError
from models_admin import audit
from models_admin.agents import host_access
from models_admin.engines import fleet, row_locks
from models_admin.hosts import engine_keys, hosts, membership
from models_admin.hosts.membership import Membership
from models_admin.loads import deploying
from models_admin.models import Deployment, Host, JoinCode

CODE_LIFE = timedelta(hours=1)
# After it a code that nobody used is forgotten: until then its machine is told that it is too old.
CODE_KEPT = timedelta(days=7)
NAME = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
LONGEST_CODE = 100
IN_MEMORY = (Deployment.State.STARTING, Deployment.State.WARM, Deployment.State.DRAINING)


class JoinError(Exception):
    """Why this machine cannot join, or not leave, as a sentence for whoever asked."""


@dataclass(frozen=True)
class Wish:
    """`address` is where the machine's engines will listen; `asked_as` the name by which it found the site."""

    code: str
    name: str
    address: str = ""
    asked_as: str = ""


def make_code(*, by: str) -> str:
    """A code that lets one machine join within an hour. It cannot be read again."""
    JoinCode.objects.filter(used_at__isnull=True, expires_at__lt=timezone.now() - CODE_KEPT).delete()
    code = token_hex(16)
    with transaction.atomic():
        row = JoinCode.objects.create(digest=_digest(code), made_by=by[:150], expires_at=timezone.now() + CODE_LIFE)
        audit.record(by, "make_join_code", row)
    return code


def command_line(code: str, site: str) -> str:
    """What is typed on the machine that shall join; `site` is the URL of the site as that machine finds it."""
    return f"bin/up --join {site.rstrip('/')} --code {code}"


def site_url(asked: str = "") -> str:
    """Where other machines probably find the site; `asked` is the URL under which somebody found it just now."""
    if asked and not host_access.leads_home(asked):
        return asked
    names = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    outside = [name for name in names if not host_access.is_loopback(name.strip("[]"))]
    return f"{'https' if settings.HTTPS else 'http'}://{(outside or names or ['localhost'])[0]}:{settings.PORT}"


def join(wish: Wish) -> Membership:
    """Use up the code and make the host, or let a silent one of that name return. Raises JoinError, nothing changed."""
    with transaction.atomic():
        code = _open_code(wish.code)
        host = _host(wish)
        password = token_urlsafe(32)
        url = host_access.redis_url(host.name, password, asked_as=wish.asked_as)
        if url is None:
            raise JoinError(unreachable())
        host.broker_digest, host.seen_at = hashlib.sha256(password.encode()).hexdigest(), timezone.now()
        host.cut_off = ""
        host.save()
        deploying.follow(host)
        code.used_at, code.host = timezone.now(), host
        code.save(update_fields=["used_at", "host"])
        audit.record("", "join", host, after=host.address, why=f"code of {code.made_by}")
        secret = engine_keys.secret_of(host)
        _admit(host)
    return Membership(host.name, host.queue, url, membership.prefix_of(host.name), secret, host.address)


def remove(host: Host, *, by: str) -> None:
    """Forget a host, its files' rows and its rights. Raises JoinError where that would lose something."""
    if why := why_not_removed(host):
        raise JoinError(why)
    name = host.name
    try:
        with transaction.atomic():
            audit.record(by, "remove_host", host, before=host.address)
            row_locks.lock(Deployment.objects.filter(engine__host=host))
            Deployment.objects.filter(engine__host=host).delete()
            host.engines.all().delete()
            host.delete()
            transaction.on_commit(partial(_expel, name))
    except ProtectedError as error:
        raise JoinError(_("%(host)s still answers somebody: try again in a minute.") % {"host": name}) from error


def why_not_removed(host: Host) -> str:
    """A sentence; '' where nothing would be lost."""
    if host.name == fleet.LOCAL_HOST:
        return _("The site's own machine stays.")
    running = Deployment.objects.filter(engine__host=host, state__in=IN_MEMORY).count()
    if not running:
        return ""
    said = ngettext(
        "%(host)s has %(count)d model in memory: unload it first.",
        "%(host)s has %(count)d models in memory: unload them first.",
        running,
    )
    return said % {"host": host.name, "count": running}


def _open_code(told: str) -> JoinCode:
    # Looked up by its digest, over which nobody who guesses has any say: how long that takes tells nothing.
    row = None
    if len(told) <= LONGEST_CODE:
        row = JoinCode.objects.select_for_update().filter(digest=_digest(told)).first()
    if row is None:
        raise JoinError(_("This join code is not known here: ask the administrator for a new one."))
    if row.used_at is not None:
        raise JoinError(_("This join code was used already: each lets one machine join. Ask for a new one."))
    if row.expires_at < timezone.now():
        raise JoinError(_("This join code is older than an hour: ask the administrator for a new one."))
    return row


def _host(wish: Wish) -> Host:
    if not NAME.fullmatch(wish.name):
        raise JoinError(_("A host's name has 1 to 40 of a–z, 0–9 and -: choose another one with --name."))
    if wish.name == fleet.LOCAL_HOST:
        raise JoinError(_("“%(name)s” is the site's own machine: choose another name with --name.") % vars(wish))
    address = _checked_address(wish.address)
    host = hosts.with_silence().filter(name=wish.name).first() or Host(name=wish.name, queue=f"host.{wish.name}")
    if host.seen_at is not None and not host.is_gone:  # type: ignore[attr-defined]
        raise JoinError(_("A host called “%(name)s” is here already: choose another name with --name.") % vars(wish))
    host.address = address
    return host


def _checked_address(told: str) -> str:
    """An address of one machine; engines behind it are asked with a key, so it must not lead just anywhere."""
    try:
        address = ipaddress.ip_address(told)
    except ValueError:
        raise JoinError(_("The machine did not tell an IP address of its own.")) from None
    is_reserved = address.is_reserved and not address.is_loopback  # of IPv6's loopback both are true
    if address.is_unspecified or address.is_multicast or address.is_link_local or is_reserved:
        raise JoinError(_("%(address)s is no address at which engines could be asked.") % {"address": address})
    return str(address)


def unreachable() -> str:
    """Why no machine can join now, and what helps."""
    return _(
        "This site's Redis can't be reached from other machines. Start the site with bin/up --redis-bind ADDR (an "
        "address of a private network), or set REDIS_URL to a Redis that they reach; then join with the same code."
    )


def leads_home(site: str) -> str:
    """Why a machine that follows this address does not find the site, and what helps."""
    return _(
        "%(site)s means each machine itself. On the machine that joins, write this machine's name or address in the "
        "network in its place; the site has to listen there: bin/up --host ADDR."
    ) % {"site": site}


def _admit(host: Host) -> None:
    try:
        host_access.admit(host)
    except RedisError as error:
        raise JoinError(
            _("The site's Redis made no user for this host (%(why)s). Mend that, then join with the same code.")
            % {"why": str(error)[:200]}
        ) from error


def _expel(name: str) -> None:
    with suppress(RedisError):  # a runner's upkeep expels whom it finds to be no host any more
        host_access.expel(name)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
