from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import setup_link
from accounts.models import SetupLink, User
from tests.accounts.racing import race

FORM = {"username": "boss", "password1": "a long enough password", "password2": "a long enough password"}


def printed() -> str:
    out = StringIO()
    call_command("setup_link", stdout=out)
    return out.getvalue().strip()


def test_the_link_makes_the_first_admin_and_leads_him_to_the_set_up_of_the_box(db: None, client: Client) -> None:
    response = client.post(printed(), FORM, follow=True)
    assert response.status_code == 200 and "Set up this box" in response.content.decode()
    assert User.objects.get().is_superuser
    assert client.get("/admin/").status_code == 200


def test_a_used_link_opens_nothing(db: None, client: Client) -> None:
    link = printed()
    client.post(link, FORM)
    assert Client().get(link).status_code == 404
    assert Client().post(link, FORM | {"username": "second"}).status_code == 404
    assert User.objects.count() == 1


def test_a_new_link_replaces_the_unused_one(db: None, client: Client) -> None:
    old = printed()
    new = printed()
    assert client.get(old).status_code == 404
    assert client.get(new).status_code == 200


def test_with_an_admin_there_is_no_link_and_old_ones_open_nothing(db: None, client: Client) -> None:
    link = printed()
    User.objects.create_superuser("root", password="a long enough password")
    assert printed() == ""
    assert client.post(link, FORM).status_code == 404


def test_only_a_hash_of_the_link_is_stored(db: None) -> None:
    token = printed().split("/")[2]
    assert token not in SetupLink.objects.get().digest


def test_a_bad_password_leaves_the_link_open(db: None, client: Client) -> None:
    link = printed()
    assert client.post(link, FORM | {"password1": "12345678", "password2": "12345678"}).status_code == 200
    assert client.post(link, FORM).status_code == 302


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_of_eight_that_use_one_link_at_once_one_becomes_admin() -> None:
    token = setup_link.make().split("/")[2]
    made = race(lambda n: setup_link.redeem(token, username=f"u{n}", password="a long enough password"), threads=8)
    assert len([user for user in made if user]) == 1
    assert User.objects.count() == 1


def test_the_password_file_makes_the_admin_and_renews_his_password(db: None, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "password"
    for password in ("first long password", "second long password"):
        file.write_text(password + "\n")
        call_command("create_admin", "--password-file", str(file))
        call_command("create_admin", "--password-file", str(file))
        assert client.post("/signin/", {"username": "admin", "password": password}).status_code == 302
    assert User.objects.get().is_superuser


def test_an_empty_password_file_is_told(db: None, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("\n")
    with pytest.raises(CommandError, match="has to hold the password"):
        call_command("create_admin", "--password-file", str(file))
