#!/usr/bin/env python
"""Django's command line; `bin/manage` runs it inside the site's own environment."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")
    # Looked at before the settings, which make the directory that they are told.
    data = Path(os.environ.get("R1WEB_DATA") or ROOT / "var").absolute()
    if _is_our_command() and not os.environ.get("DATABASE_URL") and not (data / "db.sqlite3").exists():
        sys.exit(f"There is no site in {data} yet: start bin/up first, or name its directory with R1WEB_DATA.")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _is_our_command() -> bool:
    """Ours work on the rows of a site; Django's own may well come before there is one, and so may the question
    which model to take."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    is_question = word == "fit" and not any(each.startswith("--loaded") for each in sys.argv)
    return (
        word.isidentifier()
        and not is_question
        and not {"-h", "--help"} & set(sys.argv)
        and any(ROOT.glob(f"*/management/commands/{word}.py"))
    )


if __name__ == "__main__":
    main()
