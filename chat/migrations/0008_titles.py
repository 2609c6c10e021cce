from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def keep_what_there_is(apps: Any, schema_editor: Any) -> None:
    """Nobody knows which of these titles a person typed."""
    apps.get_model("chat", "Conversation").objects.update(is_named=True)


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0007_generation_told"),
    ]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="is_named",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name="conversation",
            name="titles",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="chat.conversation",
            ),
        ),
        migrations.AlterField(
            model_name="conversation",
            name="source",
            field=models.CharField(
                choices=[("web", "page"), ("api", "API"), ("idle", "idle time")],
                default="web",
                max_length=4,
                verbose_name="source",
            ),
        ),
        migrations.RunPython(keep_what_there_is, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(
                condition=models.Q(("is_named", False), ("source", "web")),
                fields=["last_activity_at"],
                name="conversation_untitled",
            ),
        ),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(condition=models.Q(("source", "idle")), fields=["id"], name="conversation_idle"),
        ),
    ]
