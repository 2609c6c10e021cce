from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0006_carrying_on"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="generation",
            index=models.Index(
                condition=models.Q(("told_high_ms__isnull", False)), fields=["-id"], name="generation_told"
            ),
        ),
    ]
