"""How far the first admin's set-up of the box is."""

from __future__ import annotations

from django.db import models

from models_admin.models.catalogue import Artifact


class FirstRun(models.Model):
    """The one row of it: what was wished, and what came of it. What is done is seen in the rows of others.

    A wish is its `…_asked_at`; whoever fulfils it takes that away and leaves a `…_problem`: a code of
    `first_words.problem` or, where there is none, a sentence; '' = none.
    `skipped` are names of steps.
    """

    engine_url = models.CharField(max_length=300, blank=True, default="")
    engine_asked_at = models.DateTimeField(null=True)
    engine_problem = models.CharField(max_length=500, blank=True, default="")
    model_name = models.CharField(max_length=300, blank=True, default="")
    model_source = models.CharField(max_length=10, blank=True, default="")
    engine_kind = models.CharField(max_length=30, blank=True, default="")
    context_tokens = models.PositiveIntegerField(default=0)
    slots = models.PositiveIntegerField(default=0)
    artifact = models.ForeignKey(Artifact, models.SET_NULL, null=True)
    model_asked_at = models.DateTimeField(null=True)
    model_problem = models.CharField(max_length=500, blank=True, default="")
    asked_by = models.CharField(max_length=150, blank=True, default="")
    limits = models.CharField(max_length=20, blank=True, default="")
    skipped = models.JSONField(default=list)
    finished_at = models.DateTimeField(null=True)
