"""Guessing passwords."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import AsyncClient, Client

from accounts.models import User
from r1web import settings as site_settings
from tests.security.conftest import PASSWORD


def try_in(browser: Client, password: str, **headers: str) -> int:
    fields = {"username": "owner", "password": password}
    return browser.post("/signin/", fields, headers=headers).status_code


def test_passwords_are_stored_with_argon2(settings: Any) -> None:
    settings.PASSWORD_HASHERS = site_settings.PASSWORD_HASHERS
    assert make_password(PASSWORD).startswith("argon2$argon2id$")


def test_too_many_wrong_passwords_close_the_name_even_to_the_right_one(owner: User, client: Client) -> None:
    seen = [try_in(client, f"wrong {n}") for n in range(settings.AXES_FAILURE_LIMIT)]
    assert seen[:-1] == [200] * (settings.AXES_FAILURE_LIMIT - 1) and seen[-1] == 429
    assert try_in(client, PASSWORD) == 429
    assert try_in(Client(), PASSWORD) == 429


def test_a_made_up_address_in_a_header_gives_no_new_tries(owner: User, client: Client) -> None:
    for n in range(settings.AXES_FAILURE_LIMIT):
        try_in(client, f"wrong {n}", **{"X-Forwarded-For": f"10.0.0.{n}", "X-Real-IP": f"10.0.0.{n}"})
    assert try_in(client, PASSWORD, **{"X-Forwarded-For": "10.0.1.1"}) == 429


def test_behind_a_proxy_a_stranger_locks_out_only_his_own_address(owner: User, settings: Any) -> None:
    settings.BEHIND_PROXY = True
    for n in range(settings.AXES_FAILURE_LIMIT):
        try_in(Client(), f"wrong {n}", **{"X-Forwarded-For": "203.0.113.9"})
    assert try_in(Client(), PASSWORD, **{"X-Forwarded-For": "203.0.113.9"}) == 429
    assert try_in(Client(), PASSWORD, **{"X-Forwarded-For": "198.51.100.7"}) == 302


def test_behind_a_proxy_only_the_address_that_it_wrote_itself_counts(owner: User, settings: Any) -> None:
    settings.BEHIND_PROXY = True
    for n in range(settings.AXES_FAILURE_LIMIT):
        try_in(Client(), f"wrong {n}", **{"X-Forwarded-For": f"10.0.0.{n}, 203.0.113.9"})
    assert try_in(Client(), PASSWORD, **{"X-Forwarded-For": "10.0.1.1, 203.0.113.9"}) == 429


def test_the_admins_door_counts_the_same_tries(owner: User, client: Client) -> None:
    for n in range(settings.AXES_FAILURE_LIMIT):
        client.post("/admin/login/", {"username": "owner", "password": f"wrong {n}"})
    assert try_in(client, PASSWORD) == 429


def test_others_can_still_sign_in(owner: User, client: Client) -> None:
    User.objects.create_user("other", password=PASSWORD)
    for n in range(settings.AXES_FAILURE_LIMIT):
        try_in(client, f"wrong {n}")
    assert client.post("/signin/", {"username": "other", "password": PASSWORD}).status_code == 302


def test_success_forgets_earlier_mistakes(owner: User) -> None:
    for _ in range(2):
        browser = Client()
        for n in range(settings.AXES_FAILURE_LIMIT - 1):
            try_in(browser, f"wrong {n}")
        assert try_in(browser, PASSWORD) == 302


@pytest.mark.django_db(transaction=True)
async def test_the_lock_holds_on_the_asynchronous_way_too() -> None:
    await User.objects.acreate(username="owner", password="!")
    browser = AsyncClient()
    for n in range(settings.AXES_FAILURE_LIMIT):
        response = await browser.post("/signin/", {"username": "owner", "password": f"wrong {n}"})
    assert response.status_code == 429
    assert "Too many attempts" in response.content.decode()


def test_a_switched_off_person_cannot_sign_in(owner: User, client: Client) -> None:
    owner.is_active = False
    owner.save()
    assert try_in(client, PASSWORD) == 200
