from django.db import migrations


def count_each(apps, schema_editor):
    """What the set-up called '… tokens a day each' was counted for everybody together."""
    limits = apps.get_model("accounts", "QuotaLimit").objects
    limits.filter(subject_kind="everyone", model_key="", unit="output_tokens", window="day").update(is_each=True)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_quota_each_and_debt")]
    operations = [migrations.RunPython(count_each, migrations.RunPython.noop, elidable=True)]
