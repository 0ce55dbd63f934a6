"""What tests that hold out for long need of an agent: dice, a folder, and that everything they began is ended."""

import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self


class AgentUnderTest(ABC):
    """``async with`` it. ``module``: what is run in place of the agent; ``seed``: of the dice."""

    def __init__(self, folder: Path, seed: int, module: str, environ: Mapping[str, str] | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.dice = random.Random(seed)
        self.folder = folder
        self._module = module
        self._environ = dict(environ or {})
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @abstractmethod
    async def _begin(self) -> None:
        """Start everything; what is pushed on ``_stack`` is ended."""
