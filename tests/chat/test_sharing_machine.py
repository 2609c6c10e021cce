"""Line, limits and ledger together, through the doors of the database: whatever order wishes come, wait, run, stop,
crash, go on and end in, whatever clocks and limits do meanwhile, the accounts agree with a plain model to the token.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts import quota_limits
from accounts.models import ApiToken, Group, LedgerEntry, QuotaCounter, QuotaLimit, Reservation, UsageDay, User
from chat import carrying_on, claiming, errors, estimating, generation, scheduling, settlement
from chat.checkpointing import Checkpoint, checkpoint
from chat.generation import Ask
from chat.line import BACKGROUND, INTERACTIVE, SCRIPT, Entry
from chat.line_memory import LineMemory
from chat.models import Generation
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, RateCard, SlotLease, Worker
from tests.chat.plain_limits import Limit, Open, PlainLimits, Takes
from tests.chat.plain_line import PlainLine

CAP, ATTEMPTS = 2, 3
LIVE = ("waiting", "released", "running")
SLOTS = {"a": 1, "b": 2}
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MOVES = {"a second": 1, "an hour": 3_600, "a day": 86_400, "two days": 172_800, "an hour back": -3_600}
ENDS = ("done", "failed", "stopped")
FATES = ("writes", "writes", "breaks off", "not taken", "nothing", *ENDS)
AMOUNTS = {"gpu_ms": 3_000, "output_tokens": 120, "requests": 6, "running": 3}
people, models, tokens = st.integers(0, 1), st.sampled_from("ab"), st.integers(0, 40)
# Whose, for which model, by his token or the page, tokens at most, words asked.
wishes = st.tuples(people, models, st.booleans(), st.integers(1, 40), st.integers(1, 30))


@dataclass
class Wish:
    """`written` and `booked` are (thinking, answer) tokens of all attempts: those stored, and those in the ledger."""

    key: uuid.UUID
    person: int
    entry: Entry
    takes: Takes
    text: str
    state: str = "waiting"
    attempt: int = 0
    parts: int = 0
    written: tuple[int, int] = (0, 0)
    booked: tuple[int, int] = (0, 0)
    gpu_ms: int = 0
    booked_gpu_ms: int = 0
    rate: tuple[int, int] = (0, 0)
    worker: int = 0
    wants_stop: bool = False

    @property
    def new(self) -> int:
        """Tokens of this attempt."""
        return sum(self.written) - sum(self.booked)


@dataclass
class Booking:
    """A line of the ledger."""

    wish: Wish
    at: datetime
    output: int
    gpu_ms: int


class Sharing(RuleBasedStateMachine):
    """Two people with a token each, two models, two runners."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.now, self.monotonic = START, 1_000.0
        twice = Group.objects.create(name=uuid.uuid4().hex, weight=200)
        self.people = [User.objects.create_user(uuid.uuid4().hex, main_group=group) for group in (None, twice)]
        self.tokens = [self._token(person, is_background=bool(n)) for n, person in enumerate(self.people)]
        self.deployments = {key: _deployment(key, slots) for key, slots in SLOTS.items()}
        self.cards: dict[str, list[tuple[datetime, int, int]]] = {key: [] for key in SLOTS}
        for key in SLOTS:
            self._price(key, 100, 10_000)
        self.workers = [fleet.register_worker(name).pk for name in ("one", "two")]
        self.dead: set[int] = set()
        self.memory, self.leader = LineMemory(), uuid.uuid4()
        self.line, self.limits = PlainLine(cap=CAP, served=SLOTS), PlainLimits()
        self.wishes: dict[uuid.UUID, Wish] = {}
        self.ledger: list[Booking] = []

    def teardown(self) -> None:
        """When all has ended nothing is held, put aside or charged that was not used."""
        try:
            for wish in self._in(*LIVE):
                self._stop(wish)
            for wish in self._in("running"):
                self._settle(wish, "stopped")
            self.the_tables_say_the_same()
            assert not Reservation.objects.filter(state="open").exists()
            assert not SlotLease.objects.exists()
            assert QuotaCounter.objects.aggregate(s=Sum("reserved"))["s"] in (None, 0)
            self._turn()
            assert not self.memory.copy().held
        finally:
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    @initialize(wishes=st.lists(wishes, min_size=3, max_size=5))
    def people_have_asked(self, wishes: list[tuple[int, str, bool, int, int]]) -> None:
        self._ask_all(wishes)

    @rule(wishes=st.lists(wishes, min_size=1, max_size=3))
    def people_ask(self, wishes: list[tuple[int, str, bool, int, int]]) -> None:
        """No limit is passed, and who fits is not refused; the same wish again is the same."""
        self._ask_all(wishes)

    def _ask_all(self, wishes: list[tuple[int, str, bool, int, int]]) -> None:
        for person, model, by_token, most, words in wishes:
            self._ask(person, model, by_token, most, words)

    def _ask(self, person: int, model: str, by_token: bool, most: int, words: int) -> None:
        self.now += timedelta(milliseconds=1)
        text, key = "word " * words, uuid.uuid4()
        wish = Ask(key=key, text=text, model=model, options={"max_tokens": most}, **self._way(person, by_token))
        estimate = self._cost(self._rate(model), estimating.tokens_in(text), most)
        takes = Takes(estimate, most, requests=1, running=1)
        fits = self.limits.reserve(str(key), self.people[person].pk, model, takes, self.now)
        try:
            with self._clock():
                made = generation.submit(self.people[person], wish)
                assert generation.submit(self.people[person], wish).replayed
        except errors.QuotaUsedUp:
            assert not fits
            return
        assert fits
        seq = round(self.now.timestamp() * 1e6)
        class_ = (BACKGROUND if person else SCRIPT) if by_token else INTERACTIVE
        entry = Entry(
            str(made.generation), self.people[person].pk, model, class_, max(1, estimate), 100 + 100 * person, seq
        )
        self.wishes[made.generation] = Wish(key, person, entry, takes, text)

    @rule(data=st.data(), worker=st.sampled_from([0, 1, 1, None]))
    def the_box_works(self, data: st.DataObject, worker: int | None) -> None:
        self._work(data, worker)

    @rule(data=st.data())
    def the_box_works_on(self, data: st.DataObject) -> None:
        self._work(data, 0)

    @rule(data=st.data())
    def another_leads(self, data: st.DataObject) -> None:
        self._work(data, 1, is_new=True)

    def _work(self, data: st.DataObject, worker: int | None, *, is_new: bool = False) -> None:
        """Who is released is who the plain line says; another leader begins where this one stopped. Then a runner
        takes what is released, and each of its answers goes on or ends somehow."""
        if is_new:
            self._turn()
            assert scheduling.hold_lease(self.leader)
            self.memory.save(self.leader)
            self.memory = LineMemory()
            self.line.line_up_again()
        self._turn(is_first=is_new)
        if worker is not None and self.workers[worker] not in self.dead:
            for wish in self._in("released"):
                self._claim(wish, self.workers[worker])
        for wish in [each for each in self._in("running") if each.worker not in self.dead]:
            fate = data.draw(st.sampled_from(FATES))
            if fate in ENDS:
                self._settle(wish, fate)
            elif fate == "breaks off":
                self._break_off(wish)
            elif fate == "not taken" and not wish.new:
                self._put_back(wish)
            elif fate == "writes":
                self._write(wish, data.draw(tokens), data.draw(tokens))

    @precondition(lambda self: self._in(*LIVE))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        self._stop(data.draw(st.sampled_from(self._in(*LIVE))))

    @rule(worker=st.integers(0, 1))
    def a_runner_dies(self, worker: int) -> None:
        Worker.objects.filter(pk=self.workers[worker]).update(seen_at=START - timedelta(days=365))
        self.dead.add(self.workers[worker])

    @rule(twice=st.booleans())
    def sweep(self, twice: bool) -> None:
        """By two, sometimes. What a dead runner wrote goes on or ends; what was put aside too long is given back."""
        for pk in set(self.workers) - self.dead:  # by the clock on the wall an example may last longer than a lease
            fleet.renew(pk)
        with self._clock():
            for _ in range(1 + twice):
                scheduling.sweep(may_reap=True)
        for wish in [each for each in self._in("running") if each.worker in self.dead]:
            outcome = self._outcome(wish, "failed", "runner_lost")
            if wish.attempt < ATTEMPTS and not wish.wants_stop:
                self._wait_again(wish, outcome)
            else:
                self._end(wish, outcome)
        for number, pk in enumerate(self.workers):
            if pk in self.dead:
                self.workers[number] = fleet.register_worker(f"{number} again").pk
        self.limits.expire(self.now)
        assert self._rolled_up() == self._in_ledger()

    @rule(move=st.sampled_from(sorted(MOVES)))
    def the_clock_jumps(self, move: str) -> None:
        self.now += timedelta(seconds=MOVES[move])

    @rule(unit=st.sampled_from(sorted(AMOUNTS)), window=st.sampled_from(["hour", "day"]), person=people,
          is_shared=st.booleans(), model=st.sampled_from(["", "a"]), part=st.sampled_from([0.2, 1.0, 1.0]))  # fmt: skip
    def a_limit_is_set(self, unit: str, window: str, person: int, is_shared: bool, model: str, part: float) -> None:
        """It counts what the ledger says was used in its running window, and what is open."""
        if len(self.limits.limits) >= 3:
            return
        who = None if is_shared else self.people[person].pk
        limit = Limit(unit, window, round(AMOUNTS[unit] * part), who, model)
        row = QuotaLimit(
            subject_kind="everyone" if is_shared else "user", subject_id=who, unit=unit, window=window,
            amount=limit.amount, model_key=model,
        )  # fmt: skip
        with self._clock():
            quota_limits.save(row)
        still_open = [Open(str(wish.key), wish.entry.flow, wish.entry.model, wish.takes) for wish in self._in(*LIVE)]
        self.limits.set(row.pk, limit, self.now, self._used_so_far(limit), still_open)

    @precondition(lambda self: self.limits.limits)
    @rule(data=st.data(), part=st.sampled_from([0.2, 1.0, None]))
    def a_limit_is_edited(self, data: st.DataObject, part: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.limits.limits)))
        row, limit = QuotaLimit.objects.get(pk=key), self.limits.limits[key]
        if part is None:
            row.delete()
            self.limits.drop(key)
            return
        row.amount = limit.amount = round(AMOUNTS[limit.unit] * part)
        with self._clock():
            quota_limits.save(row)

    @rule(model=models, prefill=st.integers(0, 300), decode=st.integers(1_000, 30_000))
    def a_model_is_measured_anew(self, model: str, prefill: int, decode: int) -> None:
        """What has been released costs what it cost then."""
        self._price(model, prefill, decode)

    @invariant()
    def the_tables_say_the_same(self) -> None:
        rows = Generation.objects.filter(user__in=self.people).values_list(
            "pk", "state", "attempt", "thinking_tokens", "answer_tokens", "gpu_ms"
        )
        assert {row[0]: row[1:] for row in rows} == {
            key: (wish.state, wish.attempt, *wish.written, wish.gpu_ms) for key, wish in self.wishes.items()
        }
        held = {uuid.UUID(wish.entry.key) for wish in self._in("released", "running")}
        assert set(SlotLease.objects.values_list("holder", flat=True)) == held
        counters = QuotaCounter.objects.values_list("limit_id", "window_start", "used", "reserved")
        assert {row[:2]: row[2:] for row in counters if any(row[2:])} == {
            at: (counted.used, counted.reserved)
            for at, counted in self.limits.windows.items()
            if counted.used or counted.reserved
        }
        still_open = set(Reservation.objects.filter(state="open").values_list("generation_id", flat=True))
        assert still_open == {key for key, wish in self.wishes.items() if self.limits.holds(str(wish.key))}

    @invariant()
    def the_ledger_says_the_same(self) -> None:
        mine: dict[int, tuple[int, int, int]] = {}
        for booking in self.ledger:
            output, gpu_ms, requests = mine.get(booking.wish.person, (0, 0, 0))
            mine[booking.wish.person] = output + booking.output, gpu_ms + booking.gpu_ms, requests
        for person in {booking.wish.person for booking in self.ledger}:
            requests = len({booking.wish.entry.key for booking in self.ledger if booking.wish.person == person})
            mine[person] = *mine[person][:2], requests
        assert self._in_ledger() == {self.people[person].ledger_id: told for person, told in mine.items()}

    def _turn(self, *, is_first: bool = False) -> None:
        """Of both lines. Six seconds later, so that the memory is brought in step with all of the database.

        The first turn of another leader goes on from what was saved: it learns at the next one what was written since.
        """
        self.monotonic += 6
        with self._clock(), patch("chat.line_memory.time.monotonic", lambda: self.monotonic):
            scheduling.release_what_can_run(self.memory)
        if not is_first:
            self._catch_up()
        for wish in self._released_by_plain_line():
            wish.state, wish.attempt, wish.rate = "released", wish.attempt + 1, self._rate(wish.entry.model)
        line = self.memory.copy()
        assert {entry.key for entry in line} == {entry.key for entry in self.line.waiting}
        assert {key: line.charged(key) for key in line.held} == {
            key: paid for key, (_e, paid) in self.line.held.items()
        }

    def _catch_up(self) -> None:
        """The plain line learns what has become of all."""
        by_age = sorted(self.wishes.values(), key=lambda wish: wish.entry.seq)
        for wish in [each for each in by_age if each.entry.key in self.line.held]:
            if wish.state in ("released", "running"):
                self.line.charge(wish.entry.key, wish.gpu_ms)
            elif wish.state == "waiting":
                self.line.give_back(wish.entry.key)
            else:
                self.line.finish(wish.entry.key, wish.gpu_ms)
        waiting = [wish.entry for wish in by_age if wish.state == "waiting"]
        for entry in [each for each in self.line.waiting if each not in waiting]:
            self.line.withdraw(entry)
        for entry in [each for each in waiting if each not in self.line.waiting]:
            self.line.enqueue(entry)

    def _released_by_plain_line(self) -> Iterator[Wish]:
        if not self.line.waiting:
            return
        self.line.serve(set(self.line.models))
        for model in self.line.models:
            used = sum(entry.model == model for entry, _charged in self.line.held.values())
            for _ in range(SLOTS[model] - used):
                if entry := self.line.next(model):
                    self.line.take(entry)
                    yield self.wishes[uuid.UUID(entry.key)]

    def _claim(self, wish: Wish, worker: int) -> None:
        key = uuid.UUID(wish.entry.key)
        work = claiming.claim(key, wish.attempt, worker)
        assert work is not None and claiming.claim(key, wish.attempt, worker) is None
        assert (work.before.thinking_tokens, work.before.answer_tokens) == wish.booked
        wish.state, wish.worker = "running", worker

    def _write(self, wish: Wish, thinking: int, answer: int) -> None:
        told = wish.written[0] + thinking, wish.written[1] + answer
        gpu_ms = wish.booked_gpu_ms + wish.rate[1] * (sum(told) - sum(wish.booked)) // 1000
        checkpoint(wish.worker, [self._checkpoint(wish, told, gpu_ms, attempt=wish.attempt - 1)])  # a zombie's
        wanted = checkpoint(wish.worker, [self._checkpoint(wish, told, gpu_ms)])
        assert bool(wanted.stop) == wish.wants_stop
        if sum(told) > sum(wish.booked):
            wish.written, wish.gpu_ms = told, gpu_ms

    def _break_off(self, wish: Wish) -> None:
        outcome = self._outcome(wish, "failed", "engine_broke_off")
        goes_on = wish.attempt < ATTEMPTS and not wish.wants_stop
        for is_first in (True, False):
            with self._clock():
                handed_on = carrying_on.hand_on(uuid.UUID(wish.entry.key), wish.attempt, wish.worker, outcome)
            assert handed_on == (goes_on and is_first)
        if goes_on:
            self._wait_again(wish, outcome)
        else:
            self._settle(wish, "failed")

    def _put_back(self, wish: Wish) -> None:
        is_back = settlement.put_back(uuid.UUID(wish.entry.key), wish.attempt, wish.worker)
        assert is_back == (wish.attempt < ATTEMPTS and not wish.wants_stop)
        if is_back:
            wish.state = "waiting"

    def _stop(self, wish: Wish) -> None:
        with self._clock():
            generation.stop(uuid.UUID(wish.entry.key), by=self.people[wish.person])
        if wish.state == "running":
            wish.wants_stop = True
            return
        wish.state, wish.attempt = "stopped", wish.attempt + 1
        self._close(wish)

    def _settle(self, wish: Wish, state: str) -> None:
        outcome = self._outcome(wish, state, "" if state == "done" else state)
        for is_first in (True, False):
            with self._clock():
                moved = settlement.settle(uuid.UUID(wish.entry.key), wish.attempt, wish.worker, outcome)
            assert moved == is_first
        self._end(wish, outcome)

    def _end(self, wish: Wish, outcome: Outcome) -> None:
        self._book(wish, outcome)
        wish.state = outcome.state
        self._close(wish)

    def _wait_again(self, wish: Wish, outcome: Outcome) -> None:
        self._book(wish, outcome)
        wish.state = "waiting"

    def _book(self, wish: Wish, outcome: Outcome) -> None:
        """The same charge in an empty box and in a full one: tokens times the rate at its release."""
        cost = self._cost(wish.rate, outcome.prompt_tokens, outcome.output_tokens)
        self.ledger.append(Booking(wish, self.now, outcome.output_tokens, cost))
        wish.booked_gpu_ms = wish.gpu_ms = wish.booked_gpu_ms + cost
        wish.booked, wish.parts = wish.written, wish.parts + 1

    def _close(self, wish: Wish) -> None:
        self.limits.book(str(wish.key), Takes(wish.booked_gpu_ms, sum(wish.booked), requests=int(wish.parts > 0)))

    def _outcome(self, wish: Wish, state: str, reason: str) -> Outcome:
        thinking, answer = (now - before for now, before in zip(wish.written, wish.booked, strict=True))
        return Outcome(
            state, reason, "t" * wish.written[0], "a" * wish.written[1], 1,
            thinking_tokens=thinking, answer_tokens=answer,
            prompt_tokens=estimating.tokens_in(wish.text) if wish.new else 0, has_token=bool(wish.new),
        )  # fmt: skip

    def _checkpoint(self, wish: Wish, told: tuple[int, int], gpu_ms: int, *, attempt: int | None = None) -> Checkpoint:
        key = uuid.UUID(wish.entry.key)
        message = Generation.objects.values_list("message_id", flat=True).get(pk=key)
        assert message is not None
        return Checkpoint(
            key, message, wish.attempt if attempt is None else attempt, "t" * told[0], "a" * told[1], 1, *told, gpu_ms,
            has_token=sum(told) > sum(wish.booked),
        )  # fmt: skip

    def _used_so_far(self, limit: Limit) -> int:
        """By what has ended: what is open counts with all it took at its end."""
        start = limit.start(self.now)
        end = start + timedelta(hours=1 if limit.window == "hour" else 24)
        mine = [
            each
            for each in self.ledger
            if each.wish.state not in LIVE
            and start <= each.at < end
            and limit.binds(self.people[each.wish.person].pk, each.wish.entry.model)
        ]
        if limit.unit == "requests":
            return len({each.wish.entry.key for each in mine})
        return sum(each.gpu_ms if limit.unit == "gpu_ms" else each.output for each in mine)

    def _in_ledger(self) -> dict[uuid.UUID, tuple[int, ...]]:
        """Output tokens, GPU ms and requests by person."""
        mine = LedgerEntry.objects.filter(ledger_id__in=[person.ledger_id for person in self.people]).order_by()
        sums = mine.values_list("ledger_id").annotate(
            Sum("thinking_tokens"), Sum("answer_tokens"), Sum("gpu_ms_charged"), n=Count("pk", Q(key__endswith="/use"))
        )
        return {row[0]: (row[1] + row[2], row[3], row[4]) for row in sums}

    def _rolled_up(self) -> dict[uuid.UUID, tuple[int, ...]]:
        sums = UsageDay.objects.order_by().values_list("ledger_id").annotate(
            Sum("thinking_tokens"), Sum("answer_tokens"), Sum("gpu_ms_charged"), Sum("requests")
        )  # fmt: skip
        return {row[0]: (row[1] + row[2], row[3], row[4]) for row in sums}

    def _way(self, person: int, by_token: bool) -> dict[str, Any]:
        if not by_token:
            return {}
        return {"token": self.tokens[person], "source": "api", "queue_class": BACKGROUND if person else SCRIPT}

    def _token(self, person: User, *, is_background: bool) -> ApiToken:
        return ApiToken.objects.create(
            user=person, name="t", prefix="t", digest=uuid.uuid4().hex, is_background=is_background
        )

    def _price(self, model: str, prefill: int, decode: int) -> None:
        self.now += timedelta(milliseconds=1)
        with self._clock():
            RateCard.objects.create(
                deployment=self.deployments[model], prefill_us_per_token=prefill, decode_us_per_token=decode
            )
        share = 1 / SLOTS[model]
        self.cards[model].append((self.now, max(1, round(prefill * share)), max(1, round(decode * share))))

    def _rate(self, model: str) -> tuple[int, int]:
        _at, prefill, decode = max(self.cards[model], key=lambda card: card[0])
        return prefill, decode

    @staticmethod
    def _cost(rate: tuple[int, int], prompt: int, output: int) -> int:
        return (prompt * rate[0] + output * rate[1]) // 1000

    def _in(self, *states: str) -> list[Wish]:
        return [wish for wish in self.wishes.values() if wish.state in states]

    @contextmanager
    def _clock(self) -> Iterator[None]:
        with patch("django.utils.timezone.now", lambda: self.now):
            yield


def _deployment(key: str, slots: int) -> Deployment:
    artifact = Artifact.objects.create(model=CatalogueModel.objects.create(key=key, name=key), ref=key)
    engine = Engine.objects.create(host=fleet.local_host(), kind="llama.cpp", base_url=f"http://127.0.0.1:9/{key}")
    return Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=2048, slots=slots)


def run(examples: int, steps: int) -> None:
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    with override_settings(RUNNING_PER_USER=CAP, TITLES=False, AFTER_LOSS="continue"):
        run_state_machine_as_test(Sharing, settings=profile)  # type: ignore[no-untyped-call]


@pytest.mark.django_db
def test_sharing_adds_up_in_every_order_of_events() -> None:
    run(examples=12, steps=30)


@pytest.mark.long
@pytest.mark.django_db
def test_sharing_adds_up_in_many_more_orders() -> None:
    run(examples=60, steps=60)
