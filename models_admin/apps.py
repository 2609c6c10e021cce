from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ModelsAdminConfig(AppConfig):
    name = "models_admin"
    verbose_name = _("Machines")

    def ready(self) -> None:
        from accounts import model_names
        from models_admin.templatetags.model_names import model_names as names_in_catalogue

        model_names.hand_in(names_in_catalogue)
