"""What answers at an address and whether it keeps the drivers' contract: asked live, told piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from models_admin.backends import contract
from models_admin.backends.base import BackendError, Driver, Endpoint
from models_admin.backends.contract import Result
from models_admin.backends.detect import Detected, detect
from models_admin.backends.drivers import open_driver
from models_admin.backends.facts import EngineFacts, LoadedModel, ServedModel


class NoEngine(Exception):
    """Nothing usable answers there. `detected` None: nothing answers at all, for `reason` (a code of BackendError)."""

    def __init__(self, reason: str, detected: Detected | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detected = detected


@dataclass(frozen=True)
class About:
    """What the engine says of itself; `untold` are the codes of what it refused to say."""

    kind: str
    evidence: str
    facts: EngineFacts = field(default_factory=EngineFacts)
    models: tuple[ServedModel, ...] = ()
    loaded: tuple[LoadedModel, ...] = ()
    untold: tuple[str, ...] = ()
    model: str = ""


@dataclass
class EngineReport:
    """Enter it to connect; `about` is there then, `results()` runs the contract."""

    endpoint: Endpoint
    model: str = ""
    with_costly: bool = False
    about: About = field(init=False)
    _driver: Driver = field(init=False)
    _stack: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

    async def __aenter__(self) -> EngineReport:
        """Raises NoEngine."""
        kind, evidence = self.endpoint.kind, ""
        if not kind:
            found = await self._detect()
            kind, evidence = found.kind, found.evidence
        self._driver = await self._stack.enter_async_context(open_driver(replace(self.endpoint, kind=kind)))
        self.about = await self._ask(kind, evidence)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def results(self) -> AsyncIterator[Result]:
        return contract.run(self._driver, self.about.model, with_costly=self.with_costly)

    async def _detect(self) -> Detected:
        try:
            found = await detect(self.endpoint)
        except BackendError as error:
            raise NoEngine(error.code) from error
        if not found.kind:
            raise NoEngine("wrong_key" if found.wants_key else "no_engine", found)
        return found

    async def _ask(self, kind: str, evidence: str) -> About:
        about = About(kind, evidence, model=self.model)
        untold = []
        try:
            about = replace(about, models=await self._driver.models())
        except BackendError as error:
            untold.append(error.code)
        try:
            about = replace(about, facts=await self._driver.facts(), loaded=await self._driver.loaded())
        except BackendError as error:
            untold.append(error.code)
        first = (about.loaded or about.models)[:1]
        return replace(about, untold=tuple(untold), model=self.model or (first[0].name if first else ""))
