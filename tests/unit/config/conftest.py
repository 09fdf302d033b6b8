"""Ways to hand a text to the configuration and to get back what it says."""

from collections.abc import Callable
from textwrap import dedent

import pytest

from laya_uptime.config.configuration import Configuration
from laya_uptime.config.environment import DropIn, from_environment
from laya_uptime.config.load import decode
from laya_uptime.errors import ConfigError, Problem


@pytest.fixture(scope="session")
def configured() -> Callable[..., Configuration]:
    """What a text asks for. Keywords are the environment."""

    def read(text: str | bytes, **environ: str) -> Configuration:
        return decode(dedent(text) if isinstance(text, str) else text, source="c.yaml", environ=environ)

    return read


@pytest.fixture(scope="session")
def problems(configured: Callable[..., Configuration]) -> Callable[..., tuple[Problem, ...]]:
    """Everything that is wrong with a text, nothing where it is right."""

    def read(text: str | bytes, **environ: str) -> tuple[Problem, ...]:
        try:
            configured(text, **environ)
        except ConfigError as error:
            return error.problems
        return ()

    return read


@pytest.fixture(scope="session")
def complaint(problems: Callable[..., tuple[Problem, ...]]) -> Callable[..., str]:
    """The one thing that is wrong with a text, as a person reads it."""

    def read(text: str | bytes, **environ: str) -> str:
        (problem,) = problems(text, **environ)
        return str(problem)

    return read


@pytest.fixture(scope="session")
def drop_in_problems() -> Callable[..., tuple[Problem, ...]]:
    """Everything that is wrong with the drop-in face's variables, given as a mapping, and flags, given as keywords."""

    def read(environ: dict[str, str] | None = None, **flags: object) -> tuple[Problem, ...]:
        try:
            _drop_in(environ or {}, **flags)
        except ConfigError as error:
            return error.problems
        return ()

    return read


def _drop_in(environ: dict[str, str], **flags: object) -> DropIn:
    return from_environment(environ, **flags)  # type: ignore[arg-type]
