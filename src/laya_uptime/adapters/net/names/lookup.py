"""What a name leads to: aliases followed, both families of addresses asked for at once.

Neither is endless: a chain has at most sixteen aliases and never comes back to itself, and no answer has more than 128
records.
"""

import asyncio
from dataclasses import replace

import dns.name

from laya_uptime.adapters.net.names.asking import Manner, Unanswered, abandon, ask
from laya_uptime.adapters.net.names.message import Question, Reply, text_of
from laya_uptime.domain.dns import cause
from laya_uptime.domain.result import DnsFacts
from laya_uptime.ports import Clock

_MOST_ANSWERS = 128
_LONGEST_CHAIN = 16
_LEAST_GRACE = 0.05  # seconds, RFC 8305 section 3: what the second family gets after the first has an address


async def look_up(name: str, record: str, manner: Manner, *, clock: Clock) -> DnsFacts:
    """Return what the servers say of one type of record. Raise Unanswered where they do not, ValueError for no name."""
    question = Question.of(name, record)
    chain = _Chain(question)
    while True:
        said = await ask(replace(question, name=chain.end), manner, clock=clock)
        chain.absorb(said.reply)
        if chain.is_done:
            break
    return DnsFacts(
        name=name,
        record=record,
        server=str(said.server),
        rcode=said.reply.rcode,
        answers=tuple(dict.fromkeys(chain.answers))[:_MOST_ANSWERS],
        aliases=tuple(text_of(alias) for alias in chain.aliases),
        authenticated=chain.is_authenticated,
        tcp=said.tcp,
        why=said.reply.why,
    )


async def look_up_addresses(name: str, manner: Manner, *, families: tuple[str, ...], clock: Clock) -> DnsFacts:
    """Return the addresses of a name, of all these families. Raise Unanswered, ValueError likewise.

    One family is enough. Once it is there, the other has as long again; a server that drops questions for AAAA, as
    some do, must not make every check slow.
    """
    began = clock.monotonic()
    asked = [asyncio.create_task(look_up(name, family, manner, clock=clock)) for family in families]
    try:
        waiting = set(asked)
        while waiting:
            grace = max(clock.monotonic() - began, _LEAST_GRACE) if any(map(_is_good, asked)) else None
            done, waiting = await asyncio.wait(waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
        return _merged([task for task in asked if task.done()])
    finally:
        await abandon(asked)


def _is_good(task: asyncio.Task[DnsFacts]) -> bool:
    return task.done() and task.exception() is None and bool(task.result().answers)


def _merged(tasks: list[asyncio.Task[DnsFacts]]) -> DnsFacts:
    """Return what several families come to. Without any address the one that speaks is the one that went wrong most."""
    troubles = [trouble for task in tasks if (trouble := task.exception()) is not None]
    found = [task.result() for task in tasks if task.exception() is None]
    good = [facts for facts in found if cause(facts) is None]
    if not good and troubles:
        raise troubles[0]
    chosen = good[0] if good else max(found, key=_tells)
    return replace(
        chosen,
        record=", ".join(facts.record for facts in found),
        answers=tuple(answer for facts in good for answer in facts.answers)[:_MOST_ANSWERS],
        authenticated=all(facts.authenticated for facts in good or found),
        tcp=any(facts.tcp for facts in good or found),
    )


def _tells(facts: DnsFacts) -> int:
    """Rank answers without an address: a name that lacks one sort of record exists, and an error hides what is there."""
    return {"NXDOMAIN": 0, "NOERROR": 1}.get(facts.rcode, 2)


class _Chain:
    """The way from the name that was asked for to the records that were wanted."""

    def __init__(self, question: Question) -> None:
        self.end = question.name
        self.aliases: list[dns.name.Name] = []
        self.answers: list[str] = []
        self.is_authenticated = True
        self.is_done = False
        self._start = question.name
        self._follows = not question.wants_alias

    def absorb(self, reply: Reply) -> None:
        """Go as far as this answer leads. Raise Unanswered where that is nowhere."""
        self.is_authenticated &= reply.is_authenticated
        asked = self.end
        while True:
            owner = self.end.to_digestable()
            here = [record for record in reply.records if record.owner == owner]
            alias = next((record.leads_to for record in here if record.leads_to is not None), None)
            if alias is None or not self._follows:
                break
            self._go(alias)
        self.answers = [record.text for record in here]
        self.is_done = bool(here) or self.end == asked or reply.is_final or reply.code != 0

    def _go(self, alias: dns.name.Name) -> None:
        if alias == self._start or alias in self.aliases:
            raise Unanswered(f"the aliases of {text_of(self._start)} go round in a circle")
        if len(self.aliases) == _LONGEST_CHAIN:
            raise Unanswered(f"{text_of(self._start)} leads through more than {_LONGEST_CHAIN} aliases")
        self.aliases.append(alias)
        self.end = alias
