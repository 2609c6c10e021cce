"""Who may do what with a model: page, socket and scripts say the same, and a model that is not seen looks missing."""

from __future__ import annotations

import html
import re
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.test import Client

from accounts import tokens
from accounts.models import Group, User
from chat import claiming, generation, scheduling
from chat.generation import Ask
from chat.models import Generation
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, ModelAccess
from r1web.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "django.contrib.auth.backends.ModelBackend"
KEY, OTHER = "secret-70b", "open-8b"


@pytest.fixture(autouse=True)
def model(transactional_db: None) -> CatalogueModel:
    """A restricted model that the site would load on demand, cold, and one that is everybody's."""
    engine = Engine.objects.create(host=fleet.local_host(), kind="ollama", base_url="http://127.0.0.1:9")
    for key, state in ((OTHER, "warm"), (KEY, "stopped")):
        made = CatalogueModel.objects.create(key=key, name=key.upper(), is_restricted=key == KEY)
        artifact = Artifact.objects.create(model=made, ref=key)
        Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=4096, slots=2, state=state)
    return made


def person(actor: str, model: CatalogueModel) -> User:
    """`actor`: what his own row, or with 'group:' that of his group, lets him do; '' for no row."""
    if actor == "admin":
        return User.objects.create_superuser("root")
    where, _colon, may = actor.rpartition(":")
    group = Group.objects.create(name="team")
    made = User.objects.create_user(f"p{uuid.uuid4().hex[:6]}", main_group=group)
    if may:
        listed = {"group": group} if where == "group" else {"user": made}
        ModelAccess.objects.create(model=model, may=may, **listed)
    if where == "own-over-group":
        ModelAccess.objects.create(model=model, may="load", group=group)
    return made


@dataclass(frozen=True)
class Row:
    """What every door says: is it shown, what the socket and a script hear that ask it cold, and warm."""

    is_shown: bool
    cold: str
    warm: str


MATRIX = {
    "": Row(False, "no_model", "no_model"),
    "group:see": Row(True, "may_not_ask", "may_not_ask"),
    "group:use": Row(True, "may_not_load", "accepted"),
    "group:load": Row(True, "accepted", "accepted"),
    "user:load": Row(True, "accepted", "accepted"),
    "own-over-group:nothing": Row(False, "no_model", "no_model"),
    "admin": Row(True, "accepted", "accepted"),
}
STATUS = {"no_model": (404, "model_not_found"), "may_not_ask": (403, "may_not_ask"),
          "may_not_load": (403, "may_not_load")}  # fmt: skip


@pytest.mark.parametrize("actor", MATRIX)
def test_each_door_says_what_the_matrix_says(actor: str, model: CatalogueModel) -> None:
    row, user = MATRIX[actor], person(actor, model)
    browser, script = Client(), _script(user)
    browser.force_login(user, backend=BACKEND)
    for page in ("/", "/models/", "/models/choices/", "/box/"):
        assert (model.name in browser.get(page).content.decode()) is row.is_shown, page
    may_ask = row.warm == "accepted"
    assert (KEY in {each["id"] for each in script.get("/v1/models").json()["data"]}) is may_ask
    assert script.get(f"/v1/models/{KEY}").status_code == (200 if may_ask else 404)
    assert browser.post("/ready/wish/", {"model": KEY}).status_code == (204 if may_ask else 404)
    for state, said in (("stopped", row.cold), ("warm", row.warm)):
        Deployment.objects.filter(artifact__ref=KEY).update(state=state)
        assert _over_the_socket(browser, user) == said, state
        if said != "accepted":
            assert _by_script(script, KEY) == STATUS[said], state


def test_a_model_that_is_not_seen_is_refused_word_for_word_as_one_that_is_not_there(model: CatalogueModel) -> None:
    script = _script(person("", model))
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    schema = {"response_format": shape, "messages": [{"role": "user", "content": "hi"}]}
    Engine.objects.update(kind="deepseek", is_cloud=True)  # which cannot do that
    for fields in ({"messages": schema["messages"]}, schema):
        hidden, missing = (
            script.post("/v1/chat/completions", {"model": key, **fields}, content_type="application/json")
            for key in (KEY, "no-such-1b")
        )
        assert hidden.status_code == missing.status_code == 404
        assert hidden.json() == msgspec.json.decode(missing.content.replace(b"no-such-1b", KEY.encode()))


def test_another_answer_by_a_model_is_asked_for_at_the_same_door(model: CatalogueModel) -> None:
    user = person("group:see", model)
    made = generation.submit(user, Ask(key=uuid.uuid4(), text="hi", model=OTHER))
    generation.stop(made.generation, by=user)
    browser = Client()
    browser.force_login(user, backend=BACKEND)
    wish = {"type": "regenerate", "id": "1", "key": str(uuid.uuid4()), "message": str(made.answer), "model": KEY}
    assert _told(browser, user, wish)["code"] == "may_not_ask"


def test_who_may_only_use_it_waits_along_with_who_loads_it_and_never_alone(model: CatalogueModel) -> None:
    user, loader = person("user:use", model), person("admin", model)
    Deployment.objects.update(state="warm")
    made = [generation.submit(each, Ask(key=uuid.uuid4(), text="hi", model=KEY)) for each in (user, loader)]
    Deployment.objects.filter(artifact__ref=KEY).update(state="stopped")
    scheduling.release_what_can_run()
    assert _ends(made[0].generation) == ("waiting", "")
    generation.stop(made[1].generation, by=loader)
    Deployment.objects.filter(artifact__ref=KEY).update(state="stopped")
    scheduling.release_what_can_run()
    assert _ends(made[0].generation) == ("failed", "may_not_load")


def test_a_right_that_went_while_it_waited_is_missed_at_the_last_door(model: CatalogueModel) -> None:
    Deployment.objects.update(state="warm")
    made = generation.submit(person("group:load", model), Ask(key=uuid.uuid4(), text="hi", model=KEY))
    scheduling.release_what_can_run()
    ModelAccess.objects.all().delete()
    with pytest.raises(claiming.NotAllowed, match="no_model"):
        claiming.claim(made.generation, 1, fleet.register_worker("w").pk)
    assert _ends(made.generation) == ("released", ""), "whatever is raised has moved nothing"


def test_an_admin_lists_a_group_on_the_page_of_a_model(model: CatalogueModel) -> None:
    browser, group = Client(), Group.objects.create(name="class of 30")
    browser.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    address = f"/admin/models_admin/cataloguemodel/{model.pk}/change/"
    form = {"name": model.name, "temperature": "0.6", "top_p": "0.95", "is_visible": "on", "is_restricted": "on",
            "artifacts-TOTAL_FORMS": "0", "artifacts-INITIAL_FORMS": "0", "access-TOTAL_FORMS": "1",
            "access-INITIAL_FORMS": "0", "access-0-group": str(group.pk), "access-0-may": "use"}  # fmt: skip
    both = browser.post(address, form | {"access-0-user": str(User.objects.get().pk)})
    assert "Name a group or a person, one of them." in html.unescape(both.content.decode())
    assert browser.post(address, form).status_code == 302
    page = browser.get(f"/admin/accounts/group/{group.pk}/change/").content.decode()
    assert re.search(r'value="use"\s+selected', page), "the group's own page shows it"
    assert ModelAccess.objects.get().may == "use"


def _script(user: User) -> Client:
    _token, secret = tokens.create(user, "t")
    return Client(headers={"Authorization": f"Bearer {secret}"})


def _by_script(script: Client, key: str) -> tuple[int, str]:
    body = {"model": key, "messages": [{"role": "user", "content": "hi"}]}
    told = script.post("/v1/chat/completions", body, content_type="application/json")
    return told.status_code, told.json()["error"]["code"]


def _over_the_socket(browser: Client, user: User) -> str:
    wish = {"type": "ask", "id": "1", "key": str(uuid.uuid4()), "text": "hi", "model": KEY}
    told = _told(browser, user, wish)
    return str(told["code"] if told["type"] == "error" else told["type"])


@async_to_sync
async def _told(browser: Client, user: User, wish: dict[str, Any]) -> dict[str, Any]:
    """What the socket of a page answers to one wish."""
    cookie = f"sessionid={browser.cookies['sessionid'].value}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://testserver"), (b"host", b"testserver")]
    socket = WebsocketCommunicator(application, "/ws/", headers=headers)
    assert (await socket.connect())[0]
    await socket.send_json_to({"type": "hello", "v": 1})
    await socket.send_json_to(wish)
    while True:
        told: dict[str, Any] = await socket.receive_json_from(timeout=10)
        if told.get("id") == "1":
            await socket.disconnect()
            return told


def _ends(generation_id: uuid.UUID) -> tuple[str, str]:
    row = Generation.objects.get(pk=generation_id)
    return row.state, row.reason
