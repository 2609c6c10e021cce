from typing import Any

from django.db import migrations

TABLE = "accounts_ledgerentry"
SAID = "the ledger is append only"
# A later migration that makes the table anew on SQLite has to put these back: they go with the old one.
SQLITE = [
    f"CREATE TRIGGER ledger_no_{deed} BEFORE {deed} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
    for deed in ("update", "delete")
]
# TRUNCATE stays open to the table's owner: it empties test databases, and no code of the site says it.
POSTGRES = [
    f"CREATE FUNCTION ledger_refuses() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION '{SAID}'; END $$ LANGUAGE plpgsql",
    f"CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON {TABLE} "
    "FOR EACH ROW EXECUTE FUNCTION ledger_refuses()",
]
UNDO_SQLITE = [f"DROP TRIGGER ledger_no_{deed}" for deed in ("update", "delete")]
UNDO_POSTGRES = [f"DROP TRIGGER ledger_append_only ON {TABLE}", "DROP FUNCTION ledger_refuses()"]


def close(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, {"sqlite": SQLITE, "postgresql": POSTGRES})


def open_again(apps: Any, schema_editor: Any) -> None:
    run(schema_editor, {"sqlite": UNDO_SQLITE, "postgresql": UNDO_POSTGRES})


def run(schema_editor: Any, statements: dict[str, list[str]]) -> None:
    with schema_editor.connection.cursor() as cursor:
        for statement in statements[schema_editor.connection.vendor]:
            cursor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_sharing"),
    ]

    operations = [
        migrations.RunPython(close, open_again),
    ]
