"""The Celery application: a message is a hint, the database is the truth; no results, no ETA, no beat."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")

app = Celery("r1web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="agent_tasks")  # a runner is the agent of its machine
app.autodiscover_tasks(related_name="runner_tasks")
