from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Chat")

    def ready(self) -> None:
        """The board of hosts and limits belong to lower rooms, which do not know what an answer is."""
        from accounts import quota_open
        from chat import in_flight, leaving, pace
        from models_admin.pages import activity

        activity.hand_in(pace.by_host)
        quota_open.hand_in(in_flight.answers)
        leaving.watch()
