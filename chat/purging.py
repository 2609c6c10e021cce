"""What is deleted after its time: scripts' calls that nobody keeps, the trash, old wishes, reservations, sessions."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from accounts import quota
from chat.models import Conversation, Generation, Message, ReadyWish

API_CALLS_AFTER = timedelta(minutes=10)
TRASH_AFTER = timedelta(days=30)
WISHES_AFTER = timedelta(days=30)


def purge() -> None:
    """Delete all that is due."""
    old_calls = Conversation.objects.filter(
        source=Conversation.Source.API, last_activity_at__lt=Now() - API_CALLS_AFTER
    ).exclude(messages__generations__state__in=Generation.LIVE)
    kept = Message.objects.filter(generations__token__keeps_conversations=True).values("conversation")
    old_calls.exclude(pk__in=kept).delete()
    Conversation.objects.filter(deleted_at__lt=Now() - TRASH_AFTER).delete()
    ReadyWish.objects.filter(created_at__lt=Now() - WISHES_AFTER).delete()
    Session.objects.filter(expire_date__lt=Now()).delete()
    quota.forget_closed()
