"""What a host tells the site, in one envelope. The host's end; `host_words` is the site's. No Django here."""

from __future__ import annotations

import msgspec

from live.mailbox import Mailbox
from models_admin.hosts import membership
from models_admin.hosts.inventory import Inventory
from models_admin.hosts.membership import Membership
from models_admin.orders.launch_orders import ServerWord
from models_admin.orders.pull_orders import Told


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of them each time: a look at the machine, a word of a pull, how its servers are, that its agent ends."""

    inventory: Inventory | None = None
    pull: Told | None = None
    servers: list[ServerWord] = []
    has_left: bool = False


class Reporter:
    """Posts into the host's own list; False where that was not possible."""

    def __init__(self, member: Membership) -> None:
        self._mailbox = Mailbox(member.redis_url, membership.mailbox_of(member.name))

    def tell(self, letter: Letter) -> bool:
        return self._mailbox.post(msgspec.json.encode(letter))

    def pull(self, told: Told) -> bool:
        return self.tell(Letter(pull=told))
