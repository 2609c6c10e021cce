"""How a model is to run, as an admin fills it in: files, engine, context, answers at once, flags, cards. Checked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.loads.deploying import LEAST_CONTEXT, MOST_CONTEXT, MOST_SLOTS, USUAL_SLOTS
from models_admin.models import Artifact, CatalogueModel, Engine
from models_admin.pages import catalogue_view
from models_admin.pages.catalogue_view import ENGINES
from models_admin.pages.fit_lines import usual_context
from models_admin.pages.plan_view import Wish
from models_admin.servers import launch_flags
from models_admin.servers.launch_flags import FlagRefused

# Engines that run files of a source; the first one is taken where nobody chooses.
KINDS = {"ollama": ("ollama",), "gguf": ("llama.cpp",), "hf": ("vllm", "sglang")}


class WishRefused(Exception):
    """What is wrong with a wish, as a sentence."""


class LaunchForm(forms.Form):
    """`artifact` is one of the model's; `flags` come out as pairs, `gpus` as indices."""

    artifact = forms.ModelChoiceField(Artifact.objects.none(), label=_("Source"), empty_label=None)
    context = forms.IntegerField(label=_("Context, tokens"), min_value=LEAST_CONTEXT, max_value=MOST_CONTEXT)
    slots = forms.IntegerField(label=_("Answers at once"), min_value=1, max_value=MOST_SLOTS, initial=USUAL_SLOTS)
    kind = forms.ChoiceField(label=_("Engine"), required=False)
    flags = forms.CharField(
        label=_("Flags"),
        required=False,
        max_length=4000,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
        help_text=_("For a server that the host launches, such as --tensor-parallel-size 2 --enforce-eager."),
    )
    gpus = forms.RegexField(
        r"^\s*(\d{1,3}(\s*,\s*\d{1,3})*)?\s*$",
        label=_("GPUs"),
        required=False,
        help_text=_("Their numbers, such as 0,1. Empty: the site chooses when it starts."),
        error_messages={"invalid": _("Numbers of cards with commas between them.")},
    )

    def __init__(self, model: CatalogueModel, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        files = model.artifacts.filter(source__in=ENGINES).order_by("pk")
        self.fields["artifact"].queryset = files  # type: ignore[attr-defined]
        self.fields["artifact"].label_from_instance = _named  # type: ignore[attr-defined]
        kinds = dict.fromkeys(kind for each in files for kind in KINDS[each.source])
        labels = dict(Engine.Kind.choices)
        self.fields["kind"].choices = [  # type: ignore[attr-defined]
            ("", _("chosen by the files")), *((kind, labels[kind]) for kind in kinds)
        ]  # fmt: skip
        first = files.first()
        if first is not None:
            self.fields["artifact"].initial = first.pk
            self.fields["context"].initial = usual_context(first)

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        artifact, kind = found.get("artifact"), found.get("kind", "")
        if artifact is None:
            return found
        if kind and kind not in KINDS[artifact.source]:
            self.add_error("kind", gettext("That engine does not run such files."))
        self._check_flags(found, kind or KINDS[artifact.source][0])
        self._check_context(found)
        return found

    def clean_gpus(self) -> tuple[int, ...]:
        text = str(self.cleaned_data["gpus"]).strip()
        return tuple(dict.fromkeys(int(each) for each in text.split(","))) if text else ()

    def _check_flags(self, found: dict[str, Any], kind: str) -> None:
        text = found.get("flags", "").strip()
        found["flags"] = ()
        if not text:
            return
        if kind == Engine.Kind.OLLAMA:
            self.add_error("flags", gettext("Ollama takes no flags: it is not launched by the host."))
            return
        try:
            found["flags"] = launch_flags.check(kind, launch_flags.parse(text))
        except FlagRefused as error:
            self.add_error("flags", str(error))

    def _check_context(self, found: dict[str, Any]) -> None:
        card = catalogue_view.card_of(found["artifact"].model)
        if card and found.get("context", 0) > card.context:
            told = {"count": catalogue_view.number(card.context)}
            self.add_error("context", gettext("The model reads at most %(count)s tokens.") % told)


def checked(artifact: Artifact, **typed: Any) -> Wish:
    """The same out of words that were typed elsewhere; what is missing or 0 is as usual. Raises WishRefused."""
    empty = LaunchForm(artifact.model)
    usual = {"context": usual_context(artifact), "slots": USUAL_SLOTS}
    given = {name: value for name, value in typed.items() if value and name in empty.fields}
    form = LaunchForm(artifact.model, {**usual, **given, "artifact": artifact.pk})
    if form.is_valid():
        return Wish.of(form.cleaned_data)
    raise WishRefused(" ".join(str(each) for errors in form.errors.values() for each in errors))


def _named(artifact: Artifact) -> str:
    size = f" ({catalogue_view.gigabytes(artifact.bytes)})" if artifact.bytes else ""
    return f"{catalogue_view.file_title(artifact)}{size}"
