from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0005_stranded_model"),
    ]

    operations = [
        migrations.AddField(model_name="generation", name="text_from", field=models.PositiveIntegerField(default=0)),
        migrations.AddField(
            model_name="generation", name="thinking_from", field=models.PositiveIntegerField(default=0)
        ),
        migrations.AddField(
            model_name="generation",
            name="thinking_end",
            field=models.CharField(
                blank=True, choices=[("asked", "Asked"), ("budget", "Budget")], default="", max_length=10
            ),
        ),
    ]
