"""One line of the admin's list of models, reckoned from one reading of machines and ledger. No HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models_admin.models import CatalogueModel
from models_admin.pages import catalogue_view, model_state
from models_admin.pages.catalogue_view import Line
from models_admin.pages.fit_lines import Board, Needs
from models_admin.pages.model_state import Told
from models_admin.pages.model_usage import Usage


@dataclass(frozen=True)
class Row:
    """`files` names quantisation and source of its files; `is_changed`: one of the names means something else now."""

    pk: int
    files: tuple[str, ...]
    is_changed: bool
    needs: Needs
    lines: tuple[Line, ...]
    told: tuple[Told, ...]
    usage: Usage | None


class Table:
    def __init__(self, usage: Mapping[str, Usage]) -> None:
        self._board, self._usage = Board(), usage

    def row(self, model: CatalogueModel) -> Row:
        return Row(
            pk=model.pk,
            files=tuple(catalogue_view.file_title(each) for each in model.artifacts.all()),
            is_changed=bool(catalogue_view.changed(model)),
            needs=self._board.needs(model),
            lines=tuple(self._board.lines(model)),
            told=tuple(model_state.of_model(model)),
            usage=self._usage.get(model.key),
        )
