"""What can be wrong with a wish. `code` chooses the sentence people read; fields say what a caller decides by."""

from __future__ import annotations

from accounts.quota import PriceUnknown, QuotaExceeded


class WishRefused(Exception):
    """The root: nothing was stored, the draft is safe."""

    code = "bad_request"
    retry_after: int | None = None
    limit: int | None = None
    quota: int | None = None
    needs: int | None = None


class MessageEmpty(WishRefused):
    code = "message_empty"


class MessageTooLong(WishRefused):
    code = "message_too_long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"longer than {limit} characters")
        self.limit = limit


class BadText(WishRefused):
    """NUL or half a surrogate pair: no database and no engine takes it."""

    code = "bad_text"


class NoModel(WishRefused):
    code = "no_model"


class MayNotAsk(WishRefused):
    """This person may see the model, not ask it."""

    code = "may_not_ask"


class MayNotLoad(WishRefused):
    """This person may ask the model while it is warm, and now it would have to be loaded for him."""

    code = "may_not_load"


class CloudNotAllowed(WishRefused):
    """The model is a cloud's, and this person's group may not send anything there."""

    code = "cloud_not_allowed"


class LocalOnly(WishRefused):
    """The model is a cloud's, and this conversation is kept on the site's own machines."""

    code = "local_only"


class NoPrice(WishRefused):
    """A limit of money binds him, and the cloud's model has no price: nothing would ever use the limit up."""

    code = "no_price"

    def __init__(self, refusal: PriceUnknown) -> None:
        super().__init__(str(refusal))
        self.quota = refusal.limit.pk


class TooManyWaiting(WishRefused):
    code = "too_many_waiting"
    retry_after = 10

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} of yours wait already")
        self.limit = limit


class StillAnswering(WishRefused):
    """This conversation's answer is being written; stop it first."""

    code = "still_answering"


class CannotGoOn(WishRefused):
    """There is no text to go on from, or none of the model's engines can."""

    code = "cannot_go_on"


class KeyReused(WishRefused):
    """The same key came with another text."""

    code = "key_reused"


class NotYours(WishRefused):
    code = "not_found"


class QuotaUsedUp(WishRefused):
    """Less is left of a limit than the wish takes: `quota` is the limit's id, `needs` in its unit."""

    code = "quota_used_up"

    def __init__(self, refusal: QuotaExceeded) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.retry_after = refusal.retry_after
        self.quota = refusal.limit.pk
        self.needs = refusal.needs
