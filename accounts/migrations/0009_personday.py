from typing import Any

from django.db import migrations, models


def roll_up_anew(apps: Any, schema_editor: Any) -> None:
    """What was rolled up before lacks the new table: the next sweeps begin with the first entry."""
    for name in ("UsageDay", "BoxDay", "FairDay", "UsageMark"):
        apps.get_model("accounts", name).objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_quotarequest_read_at"),
    ]

    operations = [
        migrations.CreateModel(
            name="PersonDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("ledger_id", models.UUIDField()),
                ("requests", models.BigIntegerField(default=0)),
                ("thinking_tokens", models.BigIntegerField(default=0)),
                ("answer_tokens", models.BigIntegerField(default=0)),
                ("waiting_ms", models.BigIntegerField(default=0)),
                ("gpu_ms_charged", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("day", "ledger_id"), name="personday_one_per_person")],
            },
        ),
        migrations.RunPython(roll_up_anew, migrations.RunPython.noop),
    ]
