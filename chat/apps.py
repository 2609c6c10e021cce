from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Chat")

    def ready(self) -> None:
        """The board of hosts belongs to a lower room, which does not know what an answer is."""
        from chat import leaving, pace
        from models_admin.pages import activity

        activity.hand_in(pace.by_host)
        leaving.watch()
