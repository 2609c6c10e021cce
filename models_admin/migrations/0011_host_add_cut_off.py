from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_admin", "0010_access"),
    ]

    operations = [
        migrations.AddField(
            model_name="host",
            name="cut_off",
            field=models.CharField(blank=True, default="", editable=False, max_length=20),
        ),
    ]
