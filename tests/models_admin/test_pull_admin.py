"""Pulls and the audit in /admin/: what admins see, what their verbs do, and who may not."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from models_admin.engines import fleet
from models_admin.models import Artifact, AuditEntry, CatalogueModel, PullJob
from models_admin.orders.pull_orders import End, Step
from models_admin.pulls import pulling

BACKEND = "django.contrib.auth.backends.ModelBackend"
LIST = "/admin/models_admin/pulljob/"


@pytest.fixture
def admin(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


@pytest.fixture
def job(db: None) -> PullJob:
    model = CatalogueModel.objects.create(key="m", name="M")
    artifact = Artifact.objects.create(
        model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64, bytes=4_000_000_000
    )
    return pulling.ask(artifact, fleet.local_host(), by="ann")


def press(client: Client, job: PullJob, verb: str) -> str:
    fields = {"action": verb, "_selected_action": [str(job.pk)]}
    return client.post(LIST, fields, follow=True).content.decode()


def state(job: PullJob) -> str:
    return PullJob.objects.get(pk=job.pk).state


def test_the_list_tells_how_far_how_fast_and_how_long(admin: Client, job: PullJob) -> None:
    pulling.note_step(job.pk, 1, Step("loading", 1_000_000_000, 4_000_000_000, 50_000_000))
    page = admin.get(LIST).content.decode()
    for told in ("o/m/x.gguf", "running: loading", "1.00 GB / 4.00 GB (25 %)", "50.0 MB/s", "1 minute", "ann"):
        assert told in page
    page = admin.get(LIST, headers={"accept-language": "zh-hans"}).content.decode()
    for told in ("下载中", "1 分钟", "请求者"):
        assert told in page


def test_why_it_failed_is_told_in_a_sentence(admin: Client, job: PullJob) -> None:
    pulling.note_end(job.pk, 1, End("failure", reason="disk_full", detail="7 bytes are missing"))
    for address in (LIST, f"{LIST}{job.pk}/change/"):
        page = admin.get(address).content.decode()
        assert "The disk has no room for it." in page and "7 bytes are missing" in page


def test_the_verbs_move_the_job_and_are_written_down(admin: Client, job: PullJob) -> None:
    for verb, after in (("pause", "paused"), ("resume", "planned"), ("cancel", "cancelled")):
        assert "1 pull is told so." in press(admin, job, verb)
        assert state(job) == after
    press(admin, job, "retry")
    assert PullJob.objects.filter(state="planned").count() == 1
    assert [entry.verb for entry in AuditEntry.objects.filter(actor="root").order_by("pk")] == [
        *("pause_pull", "resume_pull", "cancel_pull", "pull")
    ]
    audit = admin.get("/admin/models_admin/auditentry/").content.decode()
    assert "cancelled the pull" in audit and "root" in audit
    chinese = admin.get("/admin/models_admin/auditentry/", headers={"accept-language": "zh-hans"}).content.decode()
    assert "取消拉取" in chinese and "o/m/x.gguf @ 本站机器" in chinese and ">cancel_pull" not in chinese


def test_a_source_out_of_reach_is_told_with_advice_and_its_own_words_on_the_pulls_page(
    admin: Client, job: PullJob
) -> None:
    pulling.note_end(job.pk, 1, End("failure", reason="engine_unreachable", detail="ClientConnectorError: ssl:default"))
    told = admin.get(LIST).content.decode()
    assert "set HF_ENDPOINT" in told and "ssl:default" not in told
    assert "ssl:default" in admin.get(f"{LIST}{job.pk}/change/").content.decode()


def test_a_verb_that_comes_too_late_is_told(admin: Client, job: PullJob) -> None:
    pulling.note_end(job.pk, 1, End("success", verified=True, path="/m", bytes=4))
    assert "The pull of o/m/x.gguf is done." in press(admin, job, "cancel")
    assert state(job) == "done"


def test_who_may_only_look_moves_nothing(job: PullJob, client: Client) -> None:
    person = User.objects.create_user("eve", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_pulljob"))
    client.force_login(person, backend=BACKEND)
    assert "o/m/x.gguf" in client.get(LIST).content.decode()
    press(client, job, "cancel")
    assert state(job) == "planned"
    assert not AuditEntry.objects.filter(actor="eve").exists()


def test_rows_are_nobodys_to_write(admin: Client, job: PullJob) -> None:
    for kind in ("pulljob", "auditentry"):
        assert admin.get(f"/admin/models_admin/{kind}/add/").status_code == 403
    pk = AuditEntry.objects.latest("pk").pk
    for address in (f"{LIST}{job.pk}", f"/admin/models_admin/auditentry/{pk}"):
        assert admin.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
        assert admin.post(f"{address}/change/", {"state": "done"}).status_code == 403
    assert state(job) == "planned"
