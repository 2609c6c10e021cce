"""The rights epoch moves with every change that open sockets have to hear of, and with no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Group, User
from tests.accounts.conftest import PASSWORD

BACKEND = "django.contrib.auth.backends.ModelBackend"


def epoch(person: User) -> int:
    return User.objects.get(pk=person.pk).rights_epoch


def deactivate(person: User) -> None:
    person.is_active = False


def change_password(person: User) -> None:
    person.set_password("another long password")


def change_group(person: User) -> None:
    person.main_group = Group.objects.create(name="lab")


def make_admin(person: User) -> None:
    person.is_superuser = True


@pytest.mark.parametrize("change", [deactivate, change_password, change_group, make_admin])
def test_a_change_of_rights_moves_the_epoch(person: User, change: Callable[[User], None]) -> None:
    change(person)
    person.save()
    assert epoch(person) == 1


def test_a_change_of_name_does_not(person: User) -> None:
    person.first_name = "Ann"
    person.save()
    assert epoch(person) == 0


def test_signing_in_and_out_cuts_no_other_session(person: User, client: Client) -> None:
    other = Client()
    other.force_login(person, backend=BACKEND)
    client.post("/signin/", {"username": "ann", "password": PASSWORD})
    client.post("/signout/")
    assert epoch(person) == 0
    assert other.get("/password/").status_code == 200


def test_a_new_password_ends_every_other_session(person: User, client: Client) -> None:
    other = Client()
    for browser in (client, other):
        browser.force_login(person, backend=BACKEND)
    new = "another long password"
    client.post("/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert epoch(person) == 1
    assert client.get("/password/").status_code == 200
    assert other.get("/password/").status_code == 302


def test_deactivating_in_the_admin_ends_sessions_and_moves_the_epoch(
    person: User, admin_person: User, client: Client
) -> None:
    browser = Client()
    browser.force_login(person, backend=BACKEND)
    client.force_login(admin_person, backend=BACKEND)
    client.post("/admin/accounts/user/", {"action": "deactivate", "_selected_action": [person.pk]})
    assert epoch(person) == 1
    assert browser.get("/password/").status_code == 302
