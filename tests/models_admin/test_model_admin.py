"""Models at work in /admin/: what the list and the pages tell, what each verb does, who may, and what takes it back."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.timezone import now

from accounts.models import LedgerEntry, User
from models_admin.fit.memory_fit import GIB
from models_admin.loads import warming
from models_admin.models import (
    AuditEntry,
    Deployment,
    Host,
    Launch,
    Measurement,
    Pin,
    PullJob,
    RateCard,
    StoredArtifact,
)
from models_admin.orders.pull_orders import End, Step
from models_admin.pulls import pulling
from tests.models_admin.machines import deployed, files, host, signed_in, stored, text

pytestmark = pytest.mark.django_db
LIST = "/admin/models_admin/cataloguemodel/"
VERB = f"{LIST}verb"


@pytest.fixture
def admin() -> Client:
    return signed_in(User.objects.create_superuser("root"))


@pytest.fixture
def rack() -> Host:
    return host("gpu-1")


def state(row: Deployment) -> str:
    return Deployment.objects.get(pk=row.pk).state


def press(client: Client, verb: str, pk: int, **fields: str) -> str:
    answer = client.post(f"{VERB}/{verb}/", {"pk": pk, "next": LIST, **fields}, follow=True)
    return text(answer)


def act(client: Client, verb: str, *models: int) -> str:
    return text(client.post(LIST, {"action": verb, "_selected_action": list(models)}, follow=True))


def test_the_list_tells_each_models_state_with_its_figures(admin: Client, rack: Host) -> None:
    deployed(files("a", "Warm One", 4), rack, "warm", measured_bytes=5 * GIB, last_used_at=now() - timedelta(minutes=6))
    deployed(files("b", "Loading One", 4), rack, "starting", stage="loading", progress=62)
    deployed(files("c", "Cold One", 4), rack, "stopped", load_ms=20_100)
    deployed(files("d", "Broken One", 4), rack, "quarantined", reason="server_ended")
    job = pulling.ask(files("e", "Coming One", 8.5), rack, by="ann")
    pulling.note_step(job.pk, 1, Step("loading", 3_100_000_000, 8_500_000_000, 82_000_000))
    LedgerEntry.objects.create(key="k", at=now(), ledger_id="0" * 32, model_key="c", source="page", gpu_ms_charged=9000)
    told = text(admin.get(LIST))
    for words in (
        "loading on gpu-1, 62 % 62 %",
        "cold on gpu-1 loads in about 20 seconds",
        "quarantined on gpu-1 Its server ended again and again",
        "pulling 3.1 of 8.5 GB to gpu-1 36 % 82.0 MB/s, 1 minute, asked by ann",
        "warm on gpu-1 idle for 6 minutes",
        "1 answer 1 person, 9 GPU s",
    ):
        assert words in told


def test_the_list_tells_the_fit_on_every_host(admin: Client) -> None:
    full = host("gpu-1", free=4)
    host("gpu-2")
    deployed(files("old", "Old One", 40), full, "warm", measured_bytes=44 * GIB)
    files("deepseek-r1:32b", "R1 32B")
    files("deepseek-r1:671b", "R1 671B", 404)
    told = text(admin.get(LIST))
    assert "gpu-1 after unloading Old One gpu-2 fits, not pulled" in told
    assert "gpu-1 does not fit gpu-2 does not fit" in told
    Pin.objects.create(
        deployment=Deployment.objects.get(), owner="li", reason="demo", ends_at=now() + timedelta(hours=1)
    )
    assert re.search(r"gpu-1 pinned until \S+", text(admin.get(LIST)))


def test_moving_cells_are_fetched_alone(admin: Client, rack: Host) -> None:
    row = deployed(files("b", "B", 4), rack, "starting", stage="loading", progress=10)
    page = admin.get(LIST).content.decode()
    found = re.search(r'data-live-url="([^"]+)"', page)
    assert found
    Deployment.objects.update(progress=70)
    piece = admin.get(found[1].replace("&amp;", "&")).content.decode()
    assert f'data-live="state-{row.artifact.model_id}"' in piece and "loading on gpu-1, 70 %" in piece
    assert "<html" not in piece


def test_warm_unload_and_what_takes_them_back(admin: Client, rack: Host) -> None:
    row = deployed(files("deepseek-r1:7b", "R1 7B", 4.7), rack, "stopped")
    told = press(admin, "warm", row.pk)
    assert "R1 7B on gpu-1 is being loaded. Unload" in told and state(row) == "starting"
    Deployment.objects.update(state="warm", stage="")
    assert "is being unloaded. Warm again" in press(admin, "unload", row.pk) and state(row) == "draining"
    verbs = list(AuditEntry.objects.filter(actor="root").order_by("pk").values_list("verb", flat=True))
    assert verbs == ["warm", "unload"]


def test_what_cannot_be_done_is_told_and_not_done(admin: Client, rack: Host) -> None:
    row = deployed(files("deepseek-r1:7b", "R1 7B", 4.7), rack, "warm")
    warming.pin(row, by="li", reason="demo")
    assert "is pinned: take the pin away first" in press(admin, "unload", row.pk)
    assert state(row) == "warm"
    assert "It is gone meanwhile." in press(admin, "warm", 4711)
    assert admin.post(f"{VERB}/explode/", {"pk": row.pk}).status_code == 404
    assert admin.post(f"{VERB}/warm/", {"pk": "1; drop"}).status_code == 404
    assert admin.get(f"{VERB}/warm/").status_code == 405


def test_the_way_back_leads_to_this_admin_only(admin: Client, rack: Host) -> None:
    row = deployed(files("a", "A", 4), rack, "stopped")
    for wanted in ("https://evil.example/admin/", "//evil.example/", "/signout/", "javascript:alert(1)"):
        answer = admin.post(f"{VERB}/warm/", {"pk": row.pk, "next": wanted})
        assert answer["Location"] == LIST


@pytest.mark.parametrize("rights", [(), ("view_deployment", "view_cataloguemodel", "view_pulljob", "view_pin")])
def test_who_may_only_look_presses_nothing(rack: Host, rights: tuple[str, ...]) -> None:
    row = deployed(files("a", "A", 4), rack, "stopped")
    job = pulling.ask(files("b", "B", 4), rack, by="ann")
    pin = warming.pin(row, by="li", reason="demo")
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = signed_in(eve)
    kept = {"warm": row.pk, "pause": job.pk, "cancel": job.pk, "delete_files": row.artifact.stored_artifacts.get().pk}
    for verb, pk in {**kept, "unpin": pin.pk, "measure": row.pk}.items():
        assert client.post(f"{VERB}/{verb}/", {"pk": pk, "sure": "yes"}).status_code == 403
    assert client.post("/admin/models_admin/pin/add/", {"deployment": row.pk, "reason": "x"}).status_code == 403
    page = client.get(f"{LIST}{row.artifact.model_id}/change/")
    assert page.status_code == (200 if rights else 403)
    assert f"{VERB}/" not in page.content.decode()
    assert state(row) == "stopped" and PullJob.objects.get().state == "planned"
    assert not AuditEntry.objects.filter(actor="eve").exists()


def test_members_find_no_door(rack: Host) -> None:
    row = deployed(files("a", "A", 4), rack, "stopped")
    client = signed_in(User.objects.create_user("bob"))
    assert "/admin/login/" in client.post(f"{VERB}/warm/", {"pk": row.pk})["Location"]
    strict = signed_in(User.objects.create_superuser("root"), enforce_csrf_checks=True)
    assert strict.post(f"{VERB}/warm/", {"pk": row.pk}).status_code == 403
    assert state(row) == "stopped"


def test_cancelling_asks_first_and_can_be_retried(admin: Client, rack: Host) -> None:
    job = pulling.ask(files("e", "R1 8B", 8.5), rack, by="ann")
    asked = press(admin, "cancel", job.pk)
    assert "R1 8B on gpu-1" in asked and "What came so far is removed from the host." in asked
    assert PullJob.objects.get().state == "planned"
    assert "is cancelled. Retry" in press(admin, "cancel", job.pk, sure="yes", why="too big")
    assert AuditEntry.objects.get(verb="cancel_pull").why == "too big"
    assert "is being pulled again. Cancel" in press(admin, "retry", job.pk)
    assert PullJob.objects.filter(state="planned").count() == 1


def test_the_actions_find_what_they_are_for(admin: Client, rack: Host) -> None:
    row = deployed(files("deepseek-r1:7b", "R1 7B", 4.7), rack, "stopped")
    model = row.artifact.model_id
    job = pulling.ask(files("e", "R1 8B", 8.5), rack, by="ann")
    coming = job.stored.artifact.model_id
    assert "is being loaded" in act(admin, "warm", model) and state(row) == "starting"
    assert "is paused. Resume" in act(admin, "pause", coming)
    assert "There is nothing to do that with" in act(admin, "measure", coming)
    assert "Plan for R1 7B" in act(admin, "plan", model)
    assert "Choose one model for that." in act(admin, "plan", model, coming)
    assert "The files are removed from the host." in act(admin, "delete_files", model)
    assert "Pin a model" in act(admin, "pin", model)
    assert "Its engine is not launched here" in act(admin, "logs", model)


def test_a_pin_wants_a_reason_and_is_taken_away_by_a_press(admin: Client, rack: Host) -> None:
    row = deployed(files("a", "R1 7B", 4), rack, "warm")
    page, add = f"/admin/models_admin/deployment/{row.pk}/change/", "/admin/models_admin/pin/add/"
    assert "required" in text(admin.post(add, {"deployment": row.pk, "reason": " ", "next": page}))
    past = {"deployment": row.pk, "reason": "x", "ends_at": "2001-01-01T10:00"}
    assert "lies in the past" in text(admin.post(add, past))
    assert not Pin.objects.exists()
    told = text(admin.post(add, {"deployment": row.pk, "reason": "demo for the visitors", "next": page}, follow=True))
    assert "R1 7B on gpu-1 is pinned. Unpin" in told and "demo for the visitors" in told
    assert "is pinned no more." in press(admin, "unpin", Pin.objects.get().pk)
    assert "Nobody has pinned it." in text(admin.get(page))


def test_the_page_of_a_deployment_tells_speed_costs_pins_and_log(admin: Client, rack: Host) -> None:
    row = deployed(files("a", "R1 32B", 19.8), rack, "warm", load_ms=45_300, measured_bytes=32 * GIB)
    Launch.objects.create(
        deployment=row, program="vllm", port=18100, flags=[["--enforce-eager", ""]], log="<b>startup</b> complete"
    )
    Measurement.objects.create(deployment=row, streams=4, tokens_per_second=148.9, first_token_ms=330)
    RateCard.objects.create(deployment=row, prefill_us_per_token=120, decode_us_per_token=6700)
    page = admin.get(f"/admin/models_admin/deployment/{row.pk}/change/")
    told = text(page)
    for words in (
        "32.0 GiB, measured",
        "45.3 s",
        "4 148.9 330 ms",
        "120 µs a token",
        "6,700 µs a token",
        "--enforce-eager",
    ):
        assert words in told
    assert "&lt;b&gt;startup&lt;/b&gt; complete" in page.content.decode()
    piece = text(admin.get(f"/admin/models_admin/deployment/{row.pk}/live/"))
    assert "148.9" in piece and "startup" in piece


def test_why_a_pull_failed_stands_in_the_list_and_can_be_retried(admin: Client, rack: Host) -> None:
    job = pulling.ask(files("e", "R1 8B", 8.5), rack, by="ann")
    pulling.note_end(job.pk, 1, End("failure", reason="disk_full"))
    assert "pull to gpu-1 failed The disk has no room for it." in text(admin.get(LIST))
    page = text(admin.get(f"{LIST}{job.stored.artifact.model_id}/change/"))
    assert "failed" in page and "Retry" in page


def test_a_measurement_leads_to_the_page_with_its_figures(admin: Client, rack: Host) -> None:
    row = deployed(files("e", "R1 8B", 8.5), rack, "warm")
    page = admin.post(f"{VERB}/measure/", {"pk": row.pk, "next": LIST}, follow=True).content.decode()
    assert f'<a href="/admin/models_admin/deployment/{row.pk}/change/">Its figures</a>' in page


def test_nothing_is_warmed_before_its_files_have_come(admin: Client, rack: Host) -> None:
    wanted = files("e", "R1 8B", 8.5)
    row = deployed(wanted, rack, "stopped")
    StoredArtifact.objects.update(state="absent", verified_at=None)
    job = pulling.ask(wanted, rack, by="ann")
    address = f"{LIST}{wanted.model_id}/change/"
    assert f"{VERB}/warm/" not in admin.get(address).content.decode()
    pulling.pause(job, by="ann")
    assert "to gpu-1 is paused: resume it first" in press(admin, "warm", row.pk)
    pulling.note_end(pulling.resume(job, by="ann").pk, 2, End("failure", reason="disk_full"))
    assert "to gpu-1 failed: retry it first" in press(admin, "warm", row.pk)
    assert f"{VERB}/warm/" not in admin.get(address).content.decode() and state(row) == "stopped"


def test_files_at_hand_are_told_and_deleted_after_a_question(admin: Client, rack: Host) -> None:
    kept = stored(files("e", "R1 8B", 8.5), rack)
    page = admin.get(f"{LIST}{kept.artifact.model_id}/change/")
    assert "files on gpu-1, verified, 8.5 GB" in text(page) and f"{VERB}/delete_files/" in page.content.decode()
    assert "The files are removed from the host." in press(admin, "delete_files", kept.pk)
    kept.refresh_from_db()
    assert kept.state == "ready"
    assert "are being removed. Pull again" in press(admin, "delete_files", kept.pk, sure="yes", why="room for another")
    kept.refresh_from_db()
    assert kept.state == "deleting" and AuditEntry.objects.get().why == "room for another"


def test_the_pages_speak_chinese(admin: Client, rack: Host) -> None:
    row = deployed(files("a", "R1 7B", 4), rack, "starting", stage="loading", progress=62)
    admin.cookies["django_language"] = "zh-hans"
    assert "正在 gpu-1 上加载" in text(admin.get(LIST))
    for address in (f"{LIST}{row.artifact.model_id}/plan/", f"/admin/models_admin/deployment/{row.pk}/change/"):
        assert re.search(r"[一-鿿]{4}", text(admin.get(address)))
