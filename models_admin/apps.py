from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ModelsAdminConfig(AppConfig):
    name = "models_admin"
    verbose_name = _("Machines")
