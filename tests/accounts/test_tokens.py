from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, User


def command(*words: str) -> str:
    out = StringIO()
    call_command("api_token", *words, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_token_alone_and_it_works(person: User) -> None:
    printed = command("create", "ann", "--name", "build")
    secret = printed.removesuffix("\n")
    assert secret.startswith("r1_") and "\n" not in secret
    found = tokens.authenticate(secret)
    assert found is not None and found.user == person


def test_only_a_hash_of_the_secret_is_stored(person: User) -> None:
    token, secret = tokens.create(person, "build")
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert not any(secret in str(value) for value in row.values())
    assert len(row["digest"]) == 64


@pytest.mark.parametrize("secret", ["", "r1_", "r1_wrong", "sk-other", "r1_" + "x" * 5000, "r1_\ud800", "r1_\x00"])
def test_a_wrong_secret_opens_nothing(person: User, secret: str) -> None:
    tokens.create(person, "build")
    assert tokens.authenticate(secret) is None


def test_a_revoked_token_is_refused_at_once(person: User) -> None:
    token, secret = tokens.create(person, "build")
    command("revoke", token.prefix)
    assert tokens.authenticate(secret) is None
    assert not tokens.is_usable(token)


def test_an_expired_token_is_refused(person: User) -> None:
    _token, secret = tokens.create(person, "build", expires_at=timezone.now() - timedelta(seconds=1))
    assert tokens.authenticate(secret) is None


def test_the_tokens_of_a_deactivated_person_are_refused(person: User) -> None:
    _token, secret = tokens.create(person, "build")
    person.is_active = False
    person.save()
    assert tokens.authenticate(secret) is None


def test_use_is_noted_at_most_once_a_minute(person: User) -> None:
    token, secret = tokens.create(person, "build")
    tokens.authenticate(secret)
    noted = ApiToken.objects.get(pk=token.pk).last_used_at
    assert noted is not None
    tokens.authenticate(secret)
    assert ApiToken.objects.get(pk=token.pk).last_used_at == noted


def test_the_list_shows_no_secret(person: User) -> None:
    token, secret = tokens.create(person, "build")
    shown = command("list")
    assert token.prefix in shown and "ann" in shown and secret not in shown


def test_the_command_refuses_an_unknown_person(db: None) -> None:
    with pytest.raises(CommandError, match="no active user"):
        command("create", "nobody", "--name", "x")
