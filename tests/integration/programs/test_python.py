"""What a function says: real functions in real processes, good, broken and hostile."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from laya_uptime.adapters.checks.python import PythonCheck
from laya_uptime.adapters.clock import SystemClock
from laya_uptime.config.load import load
from laya_uptime.domain.assertion import parse
from laya_uptime.domain.judge import judge
from laya_uptime.domain.monitor import HealthMode, Rules
from laya_uptime.domain.reason import Reason
from laya_uptime.domain.result import Answer, Failure, Observation, Outcome, Seen
from laya_uptime.domain.secret import Secret
from laya_uptime.testing.scripted import NoNetwork

CLOCK = SystemClock()
LONG = timedelta(seconds=30)
MANUAL = Path(__file__).parents[3] / "docs" / "reference" / "checks" / "python.md"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of functions, and return the path of its directory."""

    def write(text: str) -> Path:
        (tmp_path / "checks.py").write_text(dedent(text), "utf-8")
        return tmp_path

    return write


async def probe(
    place: Path,
    call: str = "checks.py:check",
    *,
    timeout: timedelta = LONG,  # noqa: ASYNC109  the check's own
    arguments: dict[str, Secret | bool | int | float] | None = None,
    environment: dict[str, Secret] | None = None,
) -> Seen:
    check = PythonCheck(call=call, arguments=arguments or {}, environment=environment or {}).placed(place)
    return await check.probe(NoNetwork(CLOCK), timeout=timeout)


def observed(seen: Seen) -> Observation:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return Observation(monitor_id="shop", region="local", due=at, at=at, elapsed=timedelta(milliseconds=9), seen=seen)


IMPORT = "from laya_uptime.domain.result import Outcome\n"


@pytest.mark.parametrize(
    ("body", "outcome", "reason", "detail"),
    [
        pytest.param("return True", Outcome.UP, None, "", id="True"),
        pytest.param(
            "return False", Outcome.DOWN, Reason.REPORTED_UNHEALTHY, "the function returned False", id="False"
        ),
        pytest.param("return 'disk is full'", Outcome.DOWN, Reason.REPORTED_UNHEALTHY, "disk is full", id="text"),
        pytest.param(
            "return ''", Outcome.DOWN, Reason.REPORTED_UNHEALTHY, "the function returned an empty text", id="no text"
        ),
        pytest.param("return Outcome.UP", Outcome.UP, None, "", id="up"),
        pytest.param(
            "return Outcome.DEGRADED, '3 of 5 workers'",
            Outcome.DEGRADED,
            Reason.REPORTED_DEGRADED,
            "3 of 5 workers",
            id="an outcome and a text",
        ),
        pytest.param(
            "return Outcome.UNKNOWN", Outcome.UNKNOWN, Reason.INTERNAL, "the function does not know", id="unknown"
        ),
        pytest.param(
            "raise ConnectionError('no route')",
            Outcome.DOWN,
            Reason.REPORTED_UNHEALTHY,
            "ConnectionError: no route (checks.py, line 3)",
            id="an exception",
        ),
        pytest.param(
            "assert 1 > 2, 'too few orders'",
            Outcome.DOWN,
            Reason.ASSERTION,
            "too few orders (checks.py, line 3)",
            id="an assertion",
        ),
        pytest.param(
            "raise SystemExit(3)",
            Outcome.DOWN,
            Reason.REPORTED_UNHEALTHY,
            "SystemExit: 3 (checks.py, line 3)",
            id="an exit",
        ),
        pytest.param(
            "pass",
            Outcome.UNKNOWN,
            Reason.INTERNAL,
            "the function returned nothing; let it return True or False",
            id="nothing",
        ),
        pytest.param(
            "return 5",
            Outcome.UNKNOWN,
            Reason.INTERNAL,
            "the function returned something of type int, which means nothing",
            id="a number",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_what_a_function_returns_or_raises_is_the_verdict(
    write: Write, kind: str, body: str, outcome: Outcome, reason: Reason | None, detail: str
) -> None:
    seen = await probe(write(f"{IMPORT}{kind} check():\n    {body}\n"))
    verdict = judge(observed(seen), Rules())

    assert (verdict.outcome, verdict.reason, verdict.detail) == (outcome, reason, detail)


async def test_a_dictionary_is_a_document_whose_word_counts_and_whose_values_can_be_expected(write: Write) -> None:
    place = write('def check():\n    return {"status": "degraded", "lag": 7}\n')

    seen = await probe(place)

    assert judge(observed(seen), Rules()).reason is Reason.REPORTED_DEGRADED
    assert judge(observed(seen), Rules(health=HealthMode.OFF, expect=(parse("body.lag < 9"),))).outcome is Outcome.UP
    assert judge(observed(seen), Rules(expect=(parse("body.lag < 5"),))).outcome is Outcome.DOWN


async def test_arguments_and_variables_reach_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hush")
    place = write(
        """
        import os
        import helper

        def check(*, host, port, tls=False):
            return {"host": host, "port": port, "tls": tls, "env": sorted(os.environ), "here": helper.HERE}
        """
    )
    (place / "helper.py").write_text("HERE = True\n")

    seen = await probe(
        place, arguments={"host": Secret("db1"), "port": 5432, "tls": True}, environment={"TOKEN": Secret("given")}
    )

    assert seen.evidence.body is not None
    document = seen.evidence.body.document
    assert isinstance(document, dict)
    assert {key: document[key] for key in ("host", "port", "tls", "here")} == {
        "host": "db1",
        "port": 5432,
        "tls": True,
        "here": True,
    }
    assert set(document["env"]) - {"LC_CTYPE"} == {"PATH", "LANG", "TOKEN"}


async def test_arguments_that_do_not_fit_are_our_trouble(write: Write) -> None:
    seen = await probe(write("def check(host):\n    return True\n"))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (
        Reason.INTERNAL,
        "the arguments do not fit: missing a required argument: 'host'",
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("import time; time.sleep(600)", id="it sleeps"),
        pytest.param("while True: pass", id="it spins"),
        pytest.param(
            "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)", id="it will not listen"
        ),
        pytest.param("import threading; threading.Event().wait()", id="it waits"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_function_that_hangs_is_killed_at_its_deadline_and_holds_up_nobody(
    write: Write, kind: str, body: str
) -> None:
    place = write(f"{kind} check():\n    {body}\n\ndef fine():\n    return True\n")
    hanging = asyncio.create_task(probe(place, timeout=timedelta(seconds=2)))
    await CLOCK.sleep(0)

    beside = await probe(place, "checks.py:fine")
    seen = await hanging

    assert isinstance(beside, Answer)
    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (Reason.TIMEOUT, "the function did not return within 2 s")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(7)", "the function's process ended without an answer"),
        ("import os; os.kill(os.getpid(), 11)", "the function's process was killed by SIGSEGV"),
        ("while True: print('x' * 100000)", "the function printed without end and was killed"),
        ("return {'x': 'y' * 100000}", "the answer is too large: more than 60 kB"),
        ("return {'x': float('nan')}", "the answer is no JSON"),
        ("return {'x': object()}", "the answer is no JSON"),
        ("x = {}; x['x'] = x; return x", "the answer is no JSON"),
    ],
)
async def test_a_function_that_breaks_its_process_is_our_trouble(write: Write, body: str, said: str) -> None:
    seen = await probe(write(f"def check():\n    {body}\n"))

    assert isinstance(seen, Failure)
    assert seen.reason is Reason.INTERNAL
    assert seen.detail.startswith(said)


async def test_a_file_that_cannot_be_loaded_is_our_trouble(write: Write) -> None:
    seen = await probe(write("import no_such_module\n\ndef check():\n    return True\n"))

    assert isinstance(seen, Failure)
    assert (seen.reason, seen.detail) == (
        Reason.INTERNAL,
        "the function cannot be loaded: ModuleNotFoundError: No module named 'no_such_module' (checks.py, line 1)",
    )


async def test_what_it_prints_is_no_answer_and_threads_are_not_waited_for(write: Write) -> None:
    place = write(
        """
        import threading, time

        def check():
            print('{"kind": "report", "outcome": "down"}')
            threading.Thread(target=time.sleep, args=(600,)).start()
            return True
        """
    )

    assert judge(observed(await probe(place)), Rules()).outcome is Outcome.UP


async def test_a_changed_file_counts_from_the_next_check_on(write: Write) -> None:
    first = await probe(write("def check():\n    return True\n"))
    second = await probe(write("def check():\n    return 'broken'\n"))

    assert [judge(observed(seen), Rules()).outcome for seen in (first, second)] == [Outcome.UP, Outcome.DOWN]
    assert not (write("") / "__pycache__").exists()


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip would install it."""
    (tmp_path / "shop_checks.py").write_text("def orders(least=1):\n    return f'{least} is too many'\n")
    info = tmp_path / "shop_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-checks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[laya_uptime.functions]\norders = shop_checks:orders\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("other_package")
async def test_a_function_of_an_installed_package_is_called_by_its_name(tmp_path: Path) -> None:
    seen = await probe(tmp_path, "orders", arguments={"least": 3})

    assert judge(observed(seen), Rules()).detail == "3 is too many"


@pytest.mark.parametrize(
    ("call", "text", "said"),
    [
        ("checks.py:check", "def other(): pass", "there is no function check in"),
        ("checks.py:check", "def check(:", "is not Python, line 1"),
        ("nowhere.py:check", "", "cannot be read: No such file or directory"),
        ("no-such-name", "", "is neither file.py:function nor a name that a package offers"),
    ],
)
def test_a_function_that_is_not_there_is_a_mistake_in_the_file(write: Write, call: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        PythonCheck(call=call).placed(write(text))


@pytest.mark.parametrize(
    "text",
    [
        "async def check(): ...",
        "from somewhere import check",
        "from somewhere import other as check",
        "check = print",
        "try:\n    from a import check\nexcept ImportError:\n    check = None",
    ],
)
def test_a_name_that_a_file_defines_or_imports_is_found_without_running_it(write: Write, text: str) -> None:
    assert PythonCheck(call="checks.py:check").placed(write(text)).target == "python:checks.py:check"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"call": ""}, "`call` is empty"),
        ({"call": "a.py:b", "arguments": {"a b": 1}}, "`arguments` has a name"),
        ({"call": "a.py:b", "arguments": {"a": Secret("hush" * 10000)}}, "`arguments` are too long"),
        ({"call": "a.py:b", "environment": {"A B": Secret("hush")}}, "`environment` has a name"),
    ],
)
def test_what_cannot_be_called_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        PythonCheck(**options)  # type: ignore[arg-type]

    assert said in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_the_manual_s_example_runs_as_it_stands(tmp_path: Path) -> None:
    text = MANUAL.read_text("utf-8")
    (configuration,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[:1]
    (function,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[:1]
    (tmp_path / "laya-uptime.yaml").write_text(configuration, "utf-8")
    (tmp_path / "checks.py").write_text(function, "utf-8")
    backups = tmp_path / "backups"
    backups.mkdir()
    configuration_path = tmp_path / "laya-uptime.yaml"
    configuration_path.write_text(configuration.replace("/var/backups", str(backups)), "utf-8")

    (watched,) = load(configuration_path, environ={}).monitors
    empty = await watched.check.probe(NoNetwork(CLOCK), timeout=watched.monitor.timeout)
    (backups / "monday.tar").write_bytes(b"data")
    fresh = await watched.check.probe(NoNetwork(CLOCK), timeout=watched.monitor.timeout)

    assert len(function.strip().splitlines()) <= 12
    assert judge(observed(empty), Rules()).outcome is Outcome.DOWN
    assert judge(observed(empty), Rules()).detail == f"no backup in {backups}"
    assert judge(observed(fresh), Rules()).outcome is Outcome.UP
