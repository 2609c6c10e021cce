"""The Plan page in /admin/: what a pull would need and whom it would touch, then what its buttons do."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils.timezone import localtime, now

from accounts.models import User
from models_admin.fit.memory_fit import GIB
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard, Inventory, Program
from models_admin.loads import warming
from models_admin.models import Artifact, AuditEntry, Deployment, PullJob
from models_admin.orders.pull_orders import Step
from models_admin.pulls import pulling
from tests.models_admin.machines import deployed, files, host, signed_in, stored, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return signed_in(User.objects.create_superuser("root"))


def page(artifact: Artifact) -> str:
    return f"/admin/models_admin/cataloguemodel/{artifact.model_id}/plan/"


def wish(artifact: Artifact, **fields: Any) -> dict[str, Any]:
    return {"artifact": artifact.pk, "context": 16_384, "slots": 1, "kind": "", "flags": "", "gpus": "", **fields}


def test_the_plan_tells_size_room_time_licence_and_each_hosts_verdict(admin: Client) -> None:
    full = host("gpu-1", free=4, disk=10)
    host("gpu-2")
    old = deployed(files("old", "Old One", 40), full, "warm", measured_bytes=44 * GIB)
    Deployment.objects.filter(pk=old.pk).update(last_used_at=now() - timedelta(minutes=21))
    told = text(admin.get(page(files("deepseek-r1:32b", "R1 32B"))))
    assert "Nothing has happened yet." in told
    assert "Download 19.8 GB" in told and "disk: 900 GB free, enough" in told
    assert re.search(r"Weights \+ cache 18\.4 GiB \+ \d+\.\d GiB Licence MIT \+ Apache-2\.0", told)
    assert "gpu-2 fits" in told
    assert "gpu-1 after unloading Old One 9.8 GB of disk are missing on gpu-1." in told
    assert "Old One last used 21 minutes ago" in told
    assert not PullJob.objects.exists() and Deployment.objects.count() == 1


def test_a_pin_in_the_way_is_told_with_owner_end_and_reason(admin: Client) -> None:
    full = host("gpu-1", free=4)
    old = deployed(files("old", "Old One", 40), full, "warm", measured_bytes=44 * GIB)
    warming.pin(old, by="li", reason="demo for the visitors", ends_at=now() + timedelta(hours=1))
    told = text(admin.get(page(files("deepseek-r1:32b", "R1 32B"))))
    assert re.search(r"Old One stays pinned by li until .{4,40}: demo for the visitors not before", told)


def test_another_context_and_more_answers_need_more(admin: Client) -> None:
    host("gpu-1", card=24, free=24)
    artifact = files("deepseek-r1:32b", "R1 32B")
    assert "gpu-1 fits" in text(admin.get(page(artifact), wish(artifact, context=4096)))
    assert "gpu-1 does not fit" in text(admin.get(page(artifact), wish(artifact, context=65_536, slots=4)))


def test_pull_and_warm_goes_to_every_chosen_host(admin: Client) -> None:
    places = [host("gpu-1"), host("gpu-2")]
    artifact = files("deepseek-r1:32b", "R1 32B")
    chosen = wish(artifact, slots=2, host=[each.pk for each in places])
    told = text(admin.post(page(artifact), chosen, follow=True))
    for name in ("gpu-1", "gpu-2"):
        assert f"R1 32B is pulled to {name}, then warmed. Cancel" in told
    assert "What was ordered stands below." in told and "Nothing has happened yet." not in told
    address = admin.post(page(artifact), {**chosen, "host": [places[1].pk]}).headers["location"]
    shown = admin.get(address).content.decode()
    assert (
        'name="slots" value="2"' in shown and shown.count(" checked>") == 1 and address.endswith(f"host={places[1].pk}")
    )
    assert {(job.state, job.then_warm) for job in PullJob.objects.all()} == {("planned", True)}
    made = Deployment.objects.order_by("pk")
    assert [(row.state, row.slots, row.context_tokens) for row in made] == [("stopped", 2, 16_384)] * 2
    assert set(AuditEntry.objects.values_list("verb", flat=True)) == {"deploy", "pull"}


def test_pull_only_deploys_nothing(admin: Client) -> None:
    artifact, place = files("deepseek-r1:32b", "R1 32B"), host("gpu-1")
    assert "Choose a host first." in text(admin.post(page(artifact), wish(artifact)))
    told = text(admin.post(page(artifact), wish(artifact, host=place.pk, pull_only="yes"), follow=True))
    assert "R1 32B is pulled to gpu-1. Cancel" in told
    assert not Deployment.objects.exists() and not PullJob.objects.get().then_warm


def test_files_that_are_there_are_warmed_at_once(admin: Client) -> None:
    artifact, place = files("deepseek-r1:7b", "R1 7B", 4.7), host("gpu-1")
    stored(artifact, place)
    assert "nothing, it is there" in text(admin.get(page(artifact)))
    told = text(admin.post(page(artifact), wish(artifact, host=place.pk), follow=True))
    assert "R1 7B on gpu-1 is being loaded. Unload" in told
    assert Deployment.objects.get().state == "starting" and not PullJob.objects.exists()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"flags": "--trust-remote-code"}, "never given"),
        ({"flags": "--tensor-parallel-size 2; rm -rf /"}, "belongs to no flag"),
        ({"flags": "--host 0.0.0.0"}, "has a field of its own"),
        ({"gpus": "0,x"}, "Numbers of cards"),
        ({"gpus": "7"}, "There is no GPU 7 on"),
        ({"context": "9999999"}, "less than or equal"),
        ({"context": "1000000"}, "reads at most"),
        ({"slots": "0"}, "greater than or equal"),
        ({"kind": "ollama"}, "Select a valid choice"),
        ({"artifact": "4711"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_launched_is_said_beside_its_field(admin: Client, fields: dict[str, str], why: str) -> None:
    place = host("gpu-1")
    cards = (GpuCard("RTX 6000", 48 * GIB, 48 * GIB),)
    hosts.note("gpu-1", Inventory(64 * GIB, 60 * GIB, 10**12, 10**12, gpus=cards, programs=(Program("vllm", "0.8"),)))
    artifact = files(
        "deepseek-r1:32b", "R1 32B", source="hf", ref="o/deepseek-r1-distill-qwen-32b-awq", quantisation="AWQ"
    )
    told = text(admin.post(page(artifact), {**wish(artifact, host=place.pk), **fields}, follow=True))
    assert re.search(why, told)
    assert not Deployment.objects.exists() and not PullJob.objects.exists()


def test_pulls_under_way_are_fetched_alone_with_their_buttons(admin: Client) -> None:
    artifact, place = files("deepseek-r1:8b", "R1 8B", 8.5), host("gpu-1")
    job = pulling.ask(artifact, place, by="ann")
    pulling.note_step(job.pk, 1, Step("loading", 3_100_000_000, 8_500_000_000, 82_000_000))
    piece = admin.get(f"{page(artifact)}live/").content.decode()
    assert (
        "R1 8B, Q4_K_M pulling 3.1 of 8.5 GB to gpu-1 36 % 82.0 MB/s, 1 minute, asked by ann Pause Cancel"
        in " ".join(re.sub(r"<[^>]+>", " ", piece).split())
    )
    pulling.pause(job, by="ann")
    assert "Resume" in admin.get(f"{page(artifact)}live/").content.decode()


def test_where_it_does_not_fit_the_largest_smaller_one_that_does_is_a_link_to_its_plan(admin: Client) -> None:
    host("gpu-1", card=24, free=24)
    files("deepseek-r1:7b", "R1 7B", 4.7)
    middle = files("deepseek-r1:32b", "R1 32B")
    files("of another family", "Other", 20)
    big = files("deepseek-r1:70b", "R1 70B", 42.5)
    answer = admin.get(page(big), wish(big, context=4096))
    assert "gpu-1 does not fit R1 32B, Q4_K_M fits" in text(answer)
    link = re.search(r'href="([^"]+)">R1 32B, Q4_K_M fits', answer.content.decode())
    assert link and link[1].startswith(page(middle))
    assert "gpu-1 fits" in text(admin.get(html.unescape(link[1])))


def test_a_pull_for_tonight_is_held_until_then_and_may_start_now(admin: Client) -> None:
    artifact, place = files("deepseek-r1:8b", "R1 8B", 8.5), host("gpu-1")
    chosen = wish(artifact, host=place.pk, at="02:00")
    told = text(admin.post(page(artifact), chosen, follow=True))
    assert re.search(r"R1 8B is pulled to gpu-1 at .* 2 a\.m\., then warmed\. Cancel", told)
    assert re.search(
        r"R1 8B, Q4_K_M waits until .* 2 a\.m\., then warmed 8\.5 GB to gpu-1, asked by root Start now", told
    )
    job = PullJob.objects.get()
    assert job.not_before and localtime(job.not_before).hour == 2 and job.not_before - now() < timedelta(days=1)
    PullJob.objects.update(created_at=now() - timedelta(hours=1))
    assert pulling.sweep() == 0
    told = text(admin.post(reverse("admin:models_admin_verb", args=["start"]), {"pk": job.pk}, follow=True))
    assert "The pull of R1 8B on gpu-1 starts now." in told
    job.refresh_from_db()
    assert (job.attempt, job.not_before, Deployment.objects.get().state) == (2, None, "stopped")
    assert "pulled to" not in text(admin.post(page(artifact), chosen, follow=True))


def test_a_held_pull_begins_at_its_time(admin: Client) -> None:
    artifact, place = files("deepseek-r1:8b", "R1 8B", 8.5), host("gpu-1")
    assert "no time of day" in text(admin.post(page(artifact), wish(artifact, host=place.pk, at="25:99")))
    admin.post(page(artifact), wish(artifact, host=place.pk, at="02:00"))
    PullJob.objects.update(created_at=now() - timedelta(hours=9), not_before=now() - timedelta(seconds=1))
    assert pulling.sweep() == 1
    assert PullJob.objects.get().attempt == 2


def test_who_may_only_look_sees_the_plan_and_orders_nothing() -> None:
    artifact, place = files("deepseek-r1:8b", "R1 8B", 8.5), host("gpu-1")
    eve = User.objects.create_user("eve", is_staff=True)
    client = signed_in(eve)
    assert client.get(page(artifact)).status_code == 403
    eve.user_permissions.add(Permission.objects.get(codename="view_cataloguemodel"))
    client = signed_in(User.objects.get(pk=eve.pk))
    told = text(client.get(page(artifact)))
    assert "You may look, not pull." in told and "Pull only" not in told
    assert client.post(page(artifact), wish(artifact, host=place.pk)).status_code == 403
    eve.user_permissions.add(Permission.objects.get(codename="change_pulljob"))
    client = signed_in(User.objects.get(pk=eve.pk))
    assert client.post(page(artifact), wish(artifact, host=place.pk)).status_code == 403
    assert not Deployment.objects.exists() and not PullJob.objects.exists()
    client.post(page(artifact), wish(artifact, host=place.pk, pull_only="yes"))
    assert PullJob.objects.get().asked_by == ["eve"]
