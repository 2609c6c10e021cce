"""Machines join by a code over HTTP, against a real Redis: what each may reach there, and what it may say."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import User
from chat.database import in_database
from live.mailbox import MOST_BYTES, MOST_LETTERS, Mailbox
from models_admin.agents import host_words, joining
from models_admin.agents.agent_words import Letter, Reporter
from models_admin.agents.host_access import Upkeep
from models_admin.engines import fleet
from models_admin.hosts import engine_keys
from models_admin.hosts.inventory import Inventory
from models_admin.hosts.membership import Membership
from models_admin.loads import deploying
from models_admin.models import (
    Artifact,
    AuditEntry,
    CatalogueModel,
    Deployment,
    Engine,
    Host,
    JoinCode,
    PullJob,
    StoredArtifact,
)
from models_admin.orders.pull_orders import End, Step, Told
from r1web.supervisor import redis_server
from tests.processes import until, until_async
from tests.running_engines import free_port

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "django.contrib.auth.backends.ModelBackend"
HOSTS = "/admin/models_admin/host/"
LOOK = Inventory(memory_total_bytes=64 * 2**30, memory_free_bytes=32 * 2**30)


class Valkey:
    """The server that bin/up starts, on loopback; started anew it has forgotten its users."""

    def __init__(self, folder: Path) -> None:
        self.place, self._folder = f"127.0.0.1:{free_port()}", folder
        self.start()

    def start(self) -> None:
        words = ["--port", self.place.rpartition(":")[2], "--requirepass", "pw", "--dir", str(self._folder)]
        words += [word for line in redis_server.LIMITS for word in f"--{line}".split()]
        self._process = subprocess.Popen([str(redis_server.binary()), *words, "--save", "", "--logfile", "log"])
        until(self._answers, "Redis is up")

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    @property
    def url(self) -> str:
        return f"redis://:pw@{self.place}/0"

    def client(self) -> Any:
        return redis.Redis.from_url(self.url)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    made = Valkey(tmp_path_factory.mktemp("valkey"))
    yield made
    made.end()


@pytest.fixture(autouse=True)
def valkey(server: Valkey, settings: Any) -> Valkey:
    settings.REDIS_URL, settings.REDIS_ADDRESS = server.url, server.place
    client = server.client()
    client.config_set("maxmemory", "1gb")
    client.config_set("maxmemory-clients", "256mb")
    client.flushall()
    for user in client.acl_users():
        if user != "default":
            client.acl_deluser(user)
    return server


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


def ask(**words: Any) -> Any:
    told = {"code": joining.make_code(by="ann"), "name": "gpu-2", "address": "10.0.0.7"} | words
    return Client().post("/hosts/join/", json.dumps(told), content_type="application/json")


def join(name: str = "gpu-2") -> Membership:
    answer = ask(name=name)
    assert answer.status_code == 200, answer.content
    return msgspec.json.decode(answer.content, type=Membership)


def let_fall_silent() -> None:
    Host.objects.update(seen_at=timezone.now() - timedelta(minutes=5))


def test_a_machine_with_a_code_becomes_a_host_and_the_site_keeps_only_digests(valkey: Valkey) -> None:
    member = join()
    host = Host.objects.get(name="gpu-2")
    assert (member.queue, member.prefix, host.address) == ("host.gpu-2", "r1:host:gpu-2:", "10.0.0.7")
    assert member.redis_url.endswith(f"@{valkey.place}/0")
    password = member.redis_url.split("@")[0].rpartition(":")[2]
    assert host.broker_digest == hashlib.sha256(password.encode()).hexdigest()
    assert engine_keys.secret_of(host) == member.secret and member.secret not in host.secret
    assert JoinCode.objects.get().host == host
    assert list(AuditEntry.objects.order_by("pk").values_list("actor", "verb")) == [
        ("ann", "make_join_code"),
        ("", "join"),
    ]


def test_its_user_of_redis_reaches_its_two_lists_and_nothing_else(valkey: Valkey) -> None:
    other, mine = join("gpu-20"), join("gpu-2")
    valkey.client().lpush("r1:celery:run", "an order")
    client: Any = redis.Redis.from_url(mine.redis_url)
    client.lpush(f"{mine.prefix}told", "x")
    client.lpush(f"{mine.prefix}host.gpu-2", "an order that it could not begin")
    assert client.brpop([f"{mine.prefix}host.gpu-2", f"{mine.prefix}host.gpu-2\x06\x163"], timeout=1)
    refused = [
        ("KEYS", "*"), ("SCAN", "0"), ("LLEN", "r1:celery:run"), ("BRPOP", "r1:celery:run", "1"),
        ("LPUSH", "r1:celery:run", "a task of mine"), ("LPUSH", f"{other.prefix}told", "x"),
        ("RPOP", f"{other.prefix}host.gpu-20"), ("GET", "r1:anything"), ("PUBLISH", "r1:user:1", "x"),
        ("SUBSCRIBE", "r1:user:1"), ("CONFIG", "GET", "*"), ("FLUSHALL",), ("EVAL", "return 1", "0"), ("ACL", "LIST"),
        ("INFO",), ("MONITOR",), ("SHUTDOWN",), ("CLIENT", "LIST"), ("DEL", "r1:celery:run"),
        ("LPUSH", f"{mine.prefix}more", "x"), ("LPUSH", f"{mine.prefix}host.gpu-2x", "x"), ("MULTI",),
        ("SADD", f"{mine.prefix}told", "x"), ("SET", f"{mine.prefix}told", "x"), ("LLEN", f"{mine.prefix}told"),
        ("BRPOP", f"{mine.prefix}told", "1"), ("LTRIM", f"{mine.prefix}host.gpu-2", "0", "1"),
    ]  # fmt: skip
    for words in refused:
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"code": "0" * 32}, "not known here"),
        ({"code": "é" * 90}, "not known here"),
        ({"code": "a" * 3000}, "not known here"),
        ({"name": "../etc"}, "1 to 40 of"),
        ({"name": "GPU"}, "1 to 40 of"),
        ({"name": "a" * 41}, "1 to 40 of"),
        ({"name": ""}, "1 to 40 of"),
        ({"name": "gpu-2\n"}, "1 to 40 of"),
        ({"name": "gpu:2"}, "1 to 40 of"),
        ({"name": "*"}, "1 to 40 of"),
        ({"name": "local"}, "the site's own machine"),
        ({"address": ""}, "did not tell an IP address"),
        ({"address": "evil.example"}, "did not tell an IP address"),
        ({"address": "169.254.169.254"}, "no address at which engines"),
        ({"address": "0.0.0.0"}, "no address at which engines"),
    ],
)
def test_a_join_that_is_not_right_is_refused_in_words_and_costs_no_code(words: dict[str, str], sentence: str) -> None:
    answer = ask(**words)
    assert answer.status_code == 403
    assert sentence in answer.json()["error"]
    assert not Host.objects.exclude(name=fleet.LOCAL_HOST).exists() and not JoinCode.objects.exclude(used_at=None)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"code": 1, "name": "a"}', '{"code": "a"}', "x" * 10_000, "\ud800"])
def test_what_is_no_join_is_refused(body: str) -> None:
    answer = Client().post("/hosts/join/", body.encode("utf-8", "replace"), content_type="application/json")
    assert answer.status_code in (400, 413) and answer.json()["error"]
    assert Client().get("/hosts/join/").status_code == 405


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fd00::7", "10.0.0.7"])
def test_a_machine_may_be_anywhere_where_engines_can_be_asked(address: str) -> None:
    answer = ask(address=address)
    assert answer.status_code == 200, answer.content
    assert Host.objects.get(name="gpu-2").address == address


def test_a_code_is_good_once_and_for_an_hour() -> None:
    code = joining.make_code(by="ann")
    assert ask(code=code).status_code == 200
    assert "used already" in ask(code=code, name="gpu-3").json()["error"]
    late = joining.make_code(by="ann")
    JoinCode.objects.filter(used_at=None).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "older than an hour" in ask(code=late, name="gpu-3").json()["error"]


def test_a_name_is_taken_while_its_host_is_alive_and_goes_to_the_next_with_new_keys() -> None:
    first = join()
    assert "is here already" in ask().json()["error"]
    let_fall_silent()
    assert join().secret == first.secret  # the site's engines there keep their keys
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis.from_url(first.redis_url).ping()


def test_who_guesses_is_told_to_wait() -> None:
    answers = [ask(code="0" * 32).status_code for _ in range(11)]
    assert answers == [403] * 10 + [429]
    assert ask().status_code == 429


def test_a_redis_that_no_other_machine_reaches_is_told_with_what_helps(settings: Any, valkey: Valkey) -> None:
    settings.REDIS_ADDRESS = ""
    told = ask().json()["error"]
    assert "bin/up --redis-bind ADDR" in told and "REDIS_URL" in told
    said = StringIO()
    call_command("host", "code", "--site", "http://localhost:8000", stdout=StringIO(), stderr=said)
    assert (
        "bin/up --redis-bind ADDR" in said.getvalue() and "localhost:8000 means each machine itself" in said.getvalue()
    )
    assert not JoinCode.objects.exclude(used_at=None)
    settings.REDIS_ADDRESS = f"0.0.0.0:{valkey.place.rpartition(':')[2]}"
    assert "@testserver:" in join().redis_url


def test_a_redis_whose_user_may_make_no_others_says_what_is_missing(settings: Any, valkey: Valkey) -> None:
    valkey.client().execute_command("ACL", "SETUSER", "site", "on", ">secret", "~*", "&*", "+@all", "-acl")
    code = joining.make_code(by="ann")
    settings.REDIS_URL = f"redis://site:secret@{valkey.place}/0"
    told = ask(code=code).json()["error"]
    assert "made no user for this host" in told and "acl|setuser" in told and "the same code" in told
    settings.REDIS_URL = valkey.url
    assert ask(code=code).status_code == 200


def test_redis_started_anew_admits_hosts_again_and_strangers_no_more(server: Valkey) -> None:
    member, upkeep = join(), Upkeep()
    upkeep.look()
    server.end()
    server.start()
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis.from_url(member.redis_url).ping()
    upkeep.look()
    assert Reporter(member).pull(Told(1, 1))
    Host.objects.filter(name="gpu-2").delete()
    for _ in range(2):
        upkeep.look()
    assert server.client().acl_users() == ["default"] and server.client().keys("r1:host:*") == []


def test_a_host_is_removed_with_its_rights_once_nothing_of_it_is_in_memory(valkey: Valkey, admin: Client) -> None:
    member = join()
    Reporter(member).pull(Told(1, 1))
    host = Host.objects.get(name="gpu-2")
    engine = Engine.objects.create(host=host, kind="vllm", base_url="http://10.0.0.7:9000", is_launched=True)
    artifact = Artifact.objects.create(model=CatalogueModel.objects.create(key="m", name="M"), ref="m")
    row = Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=1, slots=1)
    with pytest.raises(CommandError, match="1 model in memory: unload it first"):
        call_command("host", "remove", "gpu-2")
    assert "unload it first" in admin.post(f"{HOSTS}{host.pk}/delete/", {"post": "yes"}).content.decode()
    Deployment.objects.filter(pk=row.pk).update(state="stopped")
    assert admin.post(f"{HOSTS}{host.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Host.objects.filter(name="gpu-2").exists()
    assert valkey.client().acl_users() == ["default"] and valkey.client().keys("r1:host:*") == []
    with pytest.raises(CommandError, match="own machine stays"):
        call_command("host", "remove", fleet.local_host().name)


def test_the_admin_shows_a_code_once_with_the_whole_line(admin: Client) -> None:
    page = html.unescape(admin.post(f"{HOSTS}add/").content.decode())
    found = re.search(r"bin/up --join http://testserver --code (\w+)", page)
    assert found and ask(code=found[1]).status_code == 200
    assert "--code" not in admin.get(f"{HOSTS}add/").content.decode()


# -- what hosts tell --------------------------------------------------------------------------------------------------


def pull_on(name: str) -> PullJob:
    model, _ = CatalogueModel.objects.get_or_create(key="m", name="M")
    artifact, _ = Artifact.objects.get_or_create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64)
    stored = StoredArtifact.objects.create(host=Host.objects.get(name=name), artifact=artifact)
    return PullJob.objects.create(stored=stored, attempt=1)


def hear(holds: Callable[[], bool]) -> None:
    """A runner's loop, until what was told last is written down."""

    async def listen() -> None:
        loop = asyncio.create_task(host_words.listen(in_database))
        await until_async(lambda: in_database(holds), "all is heard")
        while not loop.done():  # a connection that is just closed may swallow one
            loop.cancel()
            await asyncio.wait({loop}, timeout=1)

    asyncio.run(listen())


def is_seen() -> bool:
    return bool(Host.objects.get(name="gpu-2").inventory)


def test_a_host_speaks_of_itself_alone() -> None:
    one, two = join("gpu-1"), join("gpu-2")
    foreign, own = pull_on("gpu-1"), pull_on("gpu-2")
    told = Reporter(two)
    for job in (foreign, own):
        told.pull(Told(job.pk, 1, step=Step("loading", 5, 10)))
        told.pull(Told(job.pk, 1, end=End("success", verified=True, path="/x", bytes=10)))
    told.tell(Letter(inventory=LOOK))
    hear(is_seen)
    assert list(PullJob.objects.order_by("pk").values_list("state", flat=True)) == ["planned", "done"]
    assert Host.objects.get(name="gpu-2").inventory["memory_total_bytes"] == LOOK.memory_total_bytes
    assert Host.objects.get(name="gpu-1").inventory == {} and one.name == "gpu-1"


def test_a_host_that_is_stopped_says_so_and_is_gone_until_it_speaks_again(admin: Client) -> None:
    mailbox = Reporter(join())
    look = Letter(inventory=LOOK)
    mailbox.tell(look)
    mailbox.tell(Letter(has_left=True))
    hear(lambda: Host.objects.get(name="gpu-2").cut_off == "left")
    assert "stopped there; it is back" in admin.get(HOSTS).content.decode()
    mailbox.tell(look)
    hear(lambda: Host.objects.get(name="gpu-2").cut_off == "")
    assert "stopped there" not in admin.get(HOSTS).content.decode()


def test_strange_words_are_dropped_and_the_next_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    member = join()
    mailbox = Mailbox(member.redis_url, f"{member.prefix}told")
    for letter in (b"\xff", b"[]", b'{"pull": 1}', b'{"pull": {"job": %d, "attempt": 1}}' % 10**30, b"{}" * 9):
        mailbox.post(letter)
    redis.Redis.from_url(member.redis_url).lpush(f"{member.prefix}told", b'{"x": "%s"}' % (b"y" * MOST_BYTES))
    Reporter(member).tell(Letter(inventory=LOOK))
    hear(is_seen)
    assert Host.objects.get(name="gpu-2").inventory["memory_total_bytes"] == LOOK.memory_total_bytes
    assert "gpu-2 told what is no word" in caplog.text


def test_a_host_that_spoils_its_list_or_tells_absurd_sizes_harms_nobody_else(valkey: Valkey) -> None:
    spoiler, host = join("evil"), join("gpu-2")
    own = redis.Redis.from_url(spoiler.redis_url)
    valkey.client().sadd(f"{spoiler.prefix}told", "x")  # as an older version let it
    Reporter(host).tell(Letter(inventory=LOOK))
    hear(is_seen)
    valkey.client().delete(f"{spoiler.prefix}told")
    absurd = msgspec.to_builtins(LOOK) | {"memory_total_bytes": 2**60}
    own.lpush(f"{spoiler.prefix}told", msgspec.json.encode({"inventory": absurd}))
    seen = Host.objects.get(name="gpu-2").seen_at
    Reporter(host).tell(Letter(inventory=LOOK))
    hear(lambda: Host.objects.get(name="gpu-2").seen_at != seen)
    assert Host.objects.get(name="evil").inventory == {}


def test_a_host_that_fills_redis_is_cut_off_and_the_site_goes_on(valkey: Valkey, admin: Client) -> None:
    evil, host = join("evil"), join("gpu-2")
    site, flood = valkey.client(), redis.Redis.from_url(evil.redis_url)
    site.config_set("maxmemory", "100mb")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        for _ in range(200):
            flood.lpush(f"{evil.prefix}told", b"x" * 1_000_000)
    hear(lambda: Host.objects.get(name="evil").cut_off == "flood")
    assert site.set("r1:anything", "x") and Reporter(host).tell(Letter(inventory=LOOK))
    hear(is_seen)
    with pytest.raises((redis.exceptions.ConnectionError, redis.exceptions.NoPermissionError)):
        flood.lpush(f"{evil.prefix}told", "x")
    assert site.keys(f"{evil.prefix}*") == [] and site.acl_users() == ["default", "host-gpu-2"]
    assert html.unescape(admin.get(HOSTS).content.decode()).count("it filled the site's Redis") == 1
    entry = AuditEntry.objects.get(verb="cut_off")
    assert (entry.actor, entry.object_name) == ("", "evil") and "bytes in its lists" in entry.why
    assert Reporter(join("evil")).pull(Told(1, 1))
    assert "it filled" not in admin.get(HOSTS).content.decode()


def test_what_no_letter_needs_is_refused_by_redis_itself(valkey: Valkey) -> None:
    member = join()
    valkey.client().config_set("maxmemory-clients", "16mb")
    for words in (["x" * 9_000_000], ["x" * 1_000_000] * 40):
        with pytest.raises(redis.exceptions.RedisError):
            redis.Redis.from_url(member.redis_url).lpush(f"{member.prefix}told", *words)
    assert valkey.client().llen(f"{member.prefix}told") == 0


def test_servers_of_a_host_that_joins_again_elsewhere_are_asked_where_it_is_now() -> None:
    join()
    host = Host.objects.get(name="gpu-2")
    model = CatalogueModel.objects.create(key="m", name="M")
    artifact = Artifact.objects.create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64)
    row = deploying.deploy(artifact, host, by="ann")
    assert row.engine.base_url == "http://10.0.0.7:18100"
    let_fall_silent()
    assert ask(address="10.0.0.8").status_code == 200
    row.engine.refresh_from_db()
    assert row.engine.base_url == "http://10.0.0.8:18100"


def test_a_list_that_nobody_reads_keeps_the_newest_words(valkey: Valkey) -> None:
    member = join()
    reporter = Reporter(member)
    for number in range(MOST_LETTERS + 5):
        assert reporter.pull(Told(number, 1))
    assert valkey.client().llen(f"{member.prefix}told") == MOST_LETTERS
    assert not Mailbox(member.redis_url, f"{member.prefix}told").post(b"x" * (MOST_BYTES + 1))
