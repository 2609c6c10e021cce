"""The page's addresses, asked by their owner, by a stranger and by nobody."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Group, User
from chat.models import Conversation, Generation, Message
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("owner", password="a-long-password")


@pytest.fixture
def browser(owner: User) -> Client:
    client = Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def conversation(owner: User) -> Conversation:
    made = Conversation.objects.create(user=owner, title="My sum", model_key="m")
    question = Message.objects.create(conversation=made, role="user", text="12+34=?")
    answer = Message.objects.create(conversation=made, parent=question, role="assistant", text="**46** </script>")
    ended = timezone.now()
    Generation.objects.create(
        user=owner, message=answer, client_key=uuid.uuid4(), request_digest="", model_key="m", attempt=1, last_seq=7,
        state="done", started_at=ended - timedelta(seconds=2), ended_at=ended,
    )  # fmt: skip
    made.active_leaf = answer
    made.save()
    return made


def paths(conversation: Conversation) -> list[tuple[str, str]]:
    base = f"/c/{conversation.id}/"
    posts = [("post", base + name) for name in ("rename/", "delete/", "restore/", "version/")]
    return [("get", base), ("get", base + "thread/"), *posts]


def test_nobody_is_sent_to_the_door(conversation: Conversation) -> None:
    for method, path in [("get", "/"), ("get", "/conversations/"), *paths(conversation)]:
        answer = getattr(Client(), method)(path)
        assert answer.status_code == 302 and answer["Location"].startswith("/signin/"), path


def test_a_stranger_sees_what_he_sees_where_nothing_is(conversation: Conversation) -> None:
    stranger = Client()
    stranger.force_login(User.objects.create_user("other"), backend="django.contrib.auth.backends.ModelBackend")
    missing = Conversation(id=uuid.uuid4())
    for (method, path), (_method, nothing) in zip(paths(conversation), paths(missing), strict=True):
        fields = {"title": "Mine now"}
        seen = getattr(stranger, method)(path, fields)
        unseen = getattr(stranger, method)(nothing, fields)
        assert (seen.status_code, without_tokens(seen)) == (404, without_tokens(unseen)), path
    conversation.refresh_from_db()
    assert (conversation.title, conversation.deleted_at) == ("My sum", None)


def without_tokens(answer: object) -> str:
    text: str = answer.content.decode()  # type: ignore[attr-defined]
    return re.sub(r'value="[^"]*"', "", text)


def test_the_page_carries_the_text_as_text(browser: Client, conversation: Conversation) -> None:
    html = browser.get(f"/c/{conversation.id}/").content.decode()
    assert "**46** &lt;/script&gt;" in html
    assert 'data-after="1-7"' in html and 'data-state="done"' in html
    assert "My sum · R1 Web" in html


def test_the_page_has_no_inline_code_but_the_import_map(browser: Client, conversation: Conversation) -> None:
    answer = browser.get(f"/c/{conversation.id}/")
    html = answer.content.decode()
    inline = re.findall(r"<script(?![^>]*src=)([^>]*)>", html)
    assert [tag for tag in inline if "application/json" not in tag] == re.findall(
        r' type="importmap" nonce="[^"]+"', html
    )
    assert not re.search(r"\s(?:style|on\w+)=", html)
    nonce = re.search(r'nonce="([^"]+)"', html)
    assert nonce and nonce[1] in answer["Content-Security-Policy"]


@pytest.fixture
def deployment(owner: User) -> Deployment:
    model = CatalogueModel.objects.create(key="m", name="A model")
    artifact = Artifact.objects.create(model=model, ref="m")
    engine = Engine.objects.create(host=fleet.local_host(), kind="vllm", base_url="http://127.0.0.1:9")
    return Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=2048, slots=2)


def test_the_switch_of_thinking_is_there_only_where_the_engine_has_one(browser: Client, deployment: Deployment) -> None:
    assert "data-always-thinks" not in browser.get("/").content.decode()
    Engine.objects.update(kind="openai-compatible")
    assert "data-always-thinks" in browser.get("/").content.decode()


def test_a_clouds_model_is_shown_to_whom_it_is_open_and_says_what_it_is(
    browser: Client, owner: User, deployment: Deployment, conversation: Conversation
) -> None:
    Engine.objects.update(kind="deepseek", is_cloud=True)
    own = f"/c/{conversation.id}/"
    assert "A model" not in browser.get("/").content.decode()
    assert "Keep from clouds" not in browser.get(own).content.decode()
    owner.main_group = Group.objects.create(name="clouded", may_use_cloud=True)
    owner.save()
    page = browser.get(own).content.decode()
    assert "what you write leaves this site" in page
    assert 'data-local-only aria-checked="false"' in page
    browser.post(f"{own}local-only/", {"on": "1"})
    assert 'data-local-only aria-checked="true"' in browser.get(own).content.decode()
    browser.post(f"{own}local-only/", {"on": "0"})
    assert 'data-local-only aria-checked="false"' in browser.get(own).content.decode()


def test_the_import_map_names_every_module(browser: Client) -> None:
    html = browser.get("/").content.decode()
    found = re.search(r'<script type="importmap"[^>]*>(.*?)</script>', html)
    assert found
    imports = json.loads(found[1])["imports"]
    assert {"/static/js/chat.js", "/static/js/protocol.js"} <= set(imports)


def test_renaming_and_trash(browser: Client, conversation: Conversation) -> None:
    base = f"/c/{conversation.id}/"
    assert browser.post(base + "rename/", {"title": "  A  new\x00 name "}).status_code == 204
    assert "A new name" in browser.get("/conversations/").content.decode()
    assert browser.post(base + "rename/", {"title": "  "}).status_code == 400
    assert browser.post(base + "delete/").status_code == 204
    assert browser.get(base).status_code == 404
    assert browser.post(base + "restore/").status_code == 204
    assert browser.get(base).status_code == 200


@pytest.mark.parametrize(("state", "after"), [("waiting", ("stopped", False)), ("running", ("running", True))])
def test_deleting_a_conversation_stops_its_answer(
    browser: Client, conversation: Conversation, state: str, after: tuple[str, bool]
) -> None:
    live = Generation.objects.create(
        user=conversation.user, message=conversation.active_leaf, client_key=uuid.uuid4(), request_digest="",
        model_key="m", state=state,
    )  # fmt: skip
    assert browser.post(f"/c/{conversation.id}/delete/").status_code == 204
    live.refresh_from_db()
    assert (live.state, live.wants_stop) == after


def test_another_version_is_shown_with_what_followed_it(browser: Client, conversation: Conversation) -> None:
    first = conversation.active_leaf
    assert first is not None
    second = Message.objects.create(conversation=conversation, parent=first.parent, role="assistant", text="47")
    follow_up = Message.objects.create(conversation=conversation, parent=second, role="user", text="Sure?")
    answer = browser.post(f"/c/{conversation.id}/version/", {"message": str(second.id)}, follow=True)
    assert "Sure?" in answer.content.decode()
    conversation.refresh_from_db()
    assert conversation.active_leaf_id == follow_up.id
    stray = browser.post(f"/c/{conversation.id}/version/", {"message": str(uuid.uuid4())})
    assert stray.status_code == 404


def test_the_list_is_by_day_with_what_is_being_answered_on_top(browser: Client, owner: User) -> None:
    for days, title in ((0, "new"), (1, "older"), (5, "week"), (90, "long ago")):
        row = Conversation.objects.create(user=owner, title=title)
        Conversation.objects.filter(pk=row.pk).update(last_activity_at=timezone.now() - timedelta(days=days))
    live = Message.objects.create(conversation=row, role="assistant")
    Generation.objects.create(
        user=owner, message=live, client_key=uuid.uuid4(), request_digest="", model_key="m", state="waiting"
    )
    text = browser.get("/conversations/").content.decode()
    order = ["Being answered", "long ago", "Today", "new", "Yesterday", "older", "Last 7 days", "week"]
    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)
    assert ">waiting<" in text


def test_scripts_calls_are_not_in_the_list(browser: Client, owner: User) -> None:
    Conversation.objects.create(user=owner, title="from a script", source="api")
    assert "from a script" not in browser.get("/conversations/").content.decode()


def test_the_password_is_changed_and_the_person_stays(browser: Client, owner: User) -> None:
    owner.set_password("a-long-password")
    owner.save()
    browser.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    fields = {"old_password": "a-long-password", "new_password1": "quite-another-1", "new_password2": "quite-another-1"}
    assert "Other browsers are signed out" in browser.post("/password/", fields).content.decode()
    assert browser.get("/").status_code == 200


def test_the_setup_link_makes_one_admin_and_closes() -> None:
    from accounts import setup_link

    path = setup_link.make()
    client = Client()
    weak = {"username": "boss", "password1": "password", "password2": "password"}
    assert client.post(path, weak).status_code == 200
    assert not User.objects.exists()
    strong = {"username": "boss", "password1": "tall-blue-tree-9", "password2": "tall-blue-tree-9"}
    assert client.post(path, strong)["Location"] == "/setup/box/"
    assert client.get("/").status_code == 200
    assert User.objects.get().is_superuser
    assert Client().get(path).status_code == 404
    assert Client().post(path, {**strong, "username": "second"}).status_code == 404


def test_the_language_is_kept(browser: Client, owner: User) -> None:
    browser.post("/language/", {"language": "zh-hans", "next": "/"})
    assert "想让 R1 推敲什么" in browser.get("/").content.decode()
    owner.refresh_from_db()
    assert owner.language == "zh-hans"


def test_a_new_browser_speaks_the_language_of_who_signs_in(owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(language="zh-hans")
    fresh = Client(headers={"accept-language": "en"})
    fresh.post("/signin/", {"username": "owner", "password": "a-long-password"})
    assert "想让 R1 推敲什么" in fresh.get("/").content.decode()


def test_the_look_goes_back_to_our_own_pages_only(browser: Client) -> None:
    answer = browser.post("/theme/", {"theme": "dark", "next": "https://elsewhere.example/"})
    assert answer["Location"] == "/"
    assert 'data-theme="dark"' in browser.get("/").content.decode()
