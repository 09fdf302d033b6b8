"""Every disagreement that we know, and why ours is right.

A class names oddities of answers (see `answers`) and what the readers do there: who refuses the answer, and who reads
something else from it. Ours is compared with each of the two others. Where ours refuses what the other reads, a class of
one of the answer's oddities must say that ours refuses; where the other refuses or reads something else, one must say
that of the other. An answer with one oddity alone must be refused by exactly those that its classes name, unless one varies.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from answers import ODDITIES
from readers import Reading

US, CURL, REQUESTS = "ours", "curl", "requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """One way to disagree. `odd` are the readers that read another body or status than ours would, or does.

    `beside` names parts of an answer (see `answers`) of which one must have an oddity too.
    """

    id: str
    oddities: frozenset[str]
    refuse: frozenset[str] = frozenset()
    odd: frozenset[str] = frozenset()
    varies: bool = False  # depends on where in the answer the oddity comes
    followed: bool = False  # happens when redirects are followed, and only then
    beside: frozenset[str] = frozenset()
    why: str
    source: str
    departs: bool = False  # ours is not what the standard says; the entry stands until that is mended

    @property
    def who(self) -> str:
        """Return who refuses and who reads something else, in words."""
        parts = []
        if self.refuse:
            parts.append(f"{_listed(self.refuse)} {'refuses' if len(self.refuse) == 1 else 'refuse'}")
        if self.odd:
            parts.append(f"{_listed(self.odd)} {'reads' if len(self.odd) == 1 else 'read'} something else")
        return "; ".join(parts)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(name for name in (US, CURL, REQUESTS) if name in names)


def a_class(
    name: str,
    oddities: str,
    why: str,
    source: str,
    *,
    refuse: tuple[str, ...] = (),
    odd: tuple[str, ...] = (),
    varies: bool = False,
    followed: bool = False,
    departs: bool = False,
    beside: str = "",
) -> Class:
    return Class(
        id=name,
        oddities=frozenset(each.strip() for each in oddities.split("|")),
        refuse=frozenset(refuse),
        odd=frozenset(odd),
        varies=varies,
        followed=followed,
        beside=frozenset(beside.split()),
        why=why,
        source=source,
        departs=departs,
    )


# Parts of an answer whose faults come behind its status and its Location.
_BEHIND = "framing encoding ending body"

NAMES = "names"  # all three refuse, by different names

CLASSES = [
    # The status line and what comes before it
    a_class(
        "status-line-spaces",
        "two spaces in the status line",
        "The grammar has one space. Splitting at any whitespace is a liberty that a recipient may take, not one it must.",
        "RFC 9112 section 4",
        refuse=(US,),
    ),
    a_class(
        "status-line-loose",
        "tab in the status line | space before the status line | sign before the status",
        "None of these is a status line. Python's parser splits at any whitespace and reads numbers as Python writes them.",
        "RFC 9112 section 4",
        refuse=(US, CURL),
    ),
    a_class(
        "version",
        "version 1.10 | version 0.9",
        "A version is one digit, a dot and a digit, and 0.9 had no status line at all.",
        "RFC 9112 section 2.3",
        refuse=(US, CURL),
    ),
    a_class(
        "version-by-name",
        "lower-case version | version 2.0 | status and phrase in one",
        "The name HTTP is case-sensitive, HTTP/2 has no text form, and a space follows the status. curl looks at less.",
        "RFC 9112 sections 2.3 and 4",
        refuse=(US, REQUESTS),
    ),
    a_class(
        "version-minor",
        "version 1.2",
        "Ours refuses. A higher minor version should be read as 1.1; nobody has defined one yet.",
        "RFC 9110 section 2.5",
        refuse=(US, CURL),
        departs=True,
    ),
    a_class(
        "empty-line-first",
        "empty line before",
        "Ours passes over empty lines before the answer. The standard says so of requests, and nothing of answers.",
        "RFC 9112 section 2.2",
        refuse=(CURL, REQUESTS),
        departs=True,
    ),
    a_class(
        "phrase-ignored",
        "NUL in the phrase",
        "A client should ignore the reason phrase. Ours keeps only what can be printed.",
        "RFC 9112 section 4",
        refuse=(CURL,),
    ),
    a_class(
        "interim",
        "102 before | 103 before",
        "Interim answers come before the real one, whatever their code. Python's parser knows 100 only and takes the others "
        "for the answer.",
        "RFC 9110 section 15.2",
        odd=(REQUESTS,),
    ),
    a_class(
        "interim-hides",
        "102 before | 103 before",
        "The fault comes after the interim answer, and requests never gets there.",
        "RFC 9110 section 15.2",
        refuse=(US, CURL),
        beside=f"{_BEHIND} line location",
    ),
    a_class(
        "interim-flood",
        "twenty times 100 before",
        "Nobody needs more than eight; whoever sends them without end must not hold up a check.",
        "limit of ours",
        refuse=(US,),
    ),
    a_class(
        "upgrade-unasked",
        "101 unasked",
        "A server must not change the protocol unless it was asked. What follows is no HTTP, and no body either.",
        "RFC 9110 section 15.2.2",
        refuse=(US,),
        odd=(CURL, REQUESTS),
    ),
    # Line ends and headers
    a_class(
        "bare-cr",
        "CR in the phrase | CR in a value | CR CR LF",
        "A CR without its LF makes the element invalid: two readers would see two different lines.",
        "RFC 9112 section 2.2",
        refuse=(US,),
        odd=(CURL, REQUESTS),
        varies=True,
    ),
    a_class(
        "cr-for-crlf",
        "bare CR",
        "Not a single line of it ends. Python's parser takes the CR for an end of line and finds no body.",
        "RFC 9112 section 2.2",
        refuse=(US, CURL),
    ),
    a_class(
        "field-name",
        "no name | space in a name | separator in a name | name outside ASCII | space before the colon",
        "A name is a token with the colon right behind it. Python's parser ends the headers at a line that it does not "
        "understand, and then misses the framing that stands below it.",
        "RFC 9112 section 5.1, RFC 9110 section 5.6.2",
        refuse=(US,),
        odd=(CURL, REQUESTS),
        varies=True,
    ),
    a_class(
        "field-line",
        "no colon | folded first | NUL in a name | NUL in a value",
        "None of these is a field. Python's parser drops it, or everything below it.",
        "RFC 9112 section 5, RFC 9110 section 5.5",
        refuse=(US, CURL),
        odd=(REQUESTS,),
        varies=True,
    ),
    a_class(
        "control-characters",
        "control character in a value",
        "Other control characters are invalid in a value; keeping them is a liberty that a recipient may take.",
        "RFC 9110 section 5.5",
        refuse=(US,),
    ),
    a_class(
        "folding",
        "folded | folded by a tab | folded trailer",
        "Ours refuses a fold. The standard wants a user agent to read it as a space, so here we are stricter than it says.",
        "RFC 9112 section 5.2",
        refuse=(US,),
        departs=True,
    ),
    a_class(
        "many-headers",
        "two hundred headers | ninety headers",
        "Ours takes up to 256. Python's parser ends at 100.",
        "RFC 9110 section 5.4",
        refuse=(REQUESTS,),
        varies=True,
    ),
    a_class(
        "too-many-headers",
        "four hundred headers",
        "More than 256 are an attack or a mistake.",
        "RFC 9110 section 5.4, limit of ours",
        refuse=(US, REQUESTS),
    ),
    a_class(
        "too-many-trailers",
        "four hundred trailers",
        "Trailers count like headers. The others skip what they do not read, however long it goes on.",
        "RFC 9110 section 6.5, limit of ours",
        refuse=(US,),
    ),
    # Lengths
    a_class(
        "length-syntax",
        "signed length | length with a fraction | length with rubbish | length with a space inside",
        "A length is digits and nothing else; anything else is an unrecoverable error. The others read as far as they can, "
        "or read until the end.",
        "RFC 9112 section 6.3, RFC 9110 section 8.6",
        refuse=(US,),
        odd=(CURL, REQUESTS),
        varies=True,
    ),
    a_class(
        "length-hexadecimal",
        "hexadecimal length",
        "The same; curl reads the 0 before the x and takes the body for empty.",
        "RFC 9112 section 6.3",
        refuse=(US,),
        odd=(CURL, REQUESTS),
    ),
    a_class(
        "length-words",
        "negative length | empty length | length in words",
        "The same; requests reads until the end.",
        "RFC 9112 section 6.3",
        refuse=(US, CURL),
    ),
    a_class(
        "length-huge",
        "length of 30 digits | length beyond 64 bits | length with an underscore",
        "A number too large to count with must not be read as another one. curl ignores the header; Python reads 1_0 as 10.",
        "RFC 9110 section 8.6",
        refuse=(US, REQUESTS),
    ),
    a_class(
        "length-twice",
        "equal lengths | equal lengths in one",
        "Whoever receives the same length twice must refuse it or take it once. Ours refuses: where one copy can come from, "
        "another can that differs.",
        "RFC 9110 section 8.6",
        refuse=(US,),
    ),
    a_class(
        "lengths-differ",
        "unequal lengths | unequal lengths in one",
        "An unrecoverable error. curl takes the last one, or the first of a list.",
        "RFC 9112 section 6.3",
        refuse=(US, REQUESTS),
        odd=(CURL,),
        varies=True,
    ),
    a_class(
        "length-and-chunks",
        "length and chunks | chunks and length",
        "Two framings in one answer are how one answer is made into two; it ought to be handled as an error.",
        "RFC 9112 section 6.3",
        refuse=(US,),
    ),
    # Transfer codings and chunks
    a_class(
        "coding-unknown",
        "chunked and another coding | chunked not last | unknown coding | chunked with a parameter | chunked after a vertical tab",
        "A coding that was not asked for cannot be undone, so there is no body to speak of. requests shows the coded bytes.",
        "RFC 9112 section 6.1",
        refuse=(US, CURL),
    ),
    a_class(
        "coding-obsolete",
        "identity before chunked | identity by name",
        "The coding identity was taken out of the protocol because it cannot be told from an unknown one.",
        "RFC 7230 appendix A.2, RFC 9112 section 6.1",
        refuse=(US,),
    ),
    a_class(
        "coding-twice",
        "chunked twice | chunked in two headers",
        "Chunks must not be applied twice. The others undo them once and do not look.",
        "RFC 9112 section 7.1",
        refuse=(US,),
    ),
    a_class(
        "coding-empty",
        "empty coding | chunked behind a space",
        "The framing is announced and then not said, or said in a line that is none: guessing it is how smuggling works.",
        "RFC 9112 sections 5.1 and 6.1",
        refuse=(US,),
        varies=True,
        odd=(CURL, REQUESTS),
    ),
    a_class(
        "coding-comma",
        "chunked with a comma",
        "Ours takes the answer for cut. An empty element of a list is to be passed over, so this is chunked like any other.",
        "RFC 9110 section 5.6.1",
        refuse=(US,),
        departs=True,
    ),
    a_class(
        "chunk-size",
        "space before the chunk size | 0x before the chunk size | plus before the chunk size | underscore in the chunk size",
        "A size is hexadecimal digits. Python's int() takes more than that.",
        "RFC 9112 section 7.1",
        refuse=(US, CURL),
    ),
    a_class(
        "chunk-size-space",
        "space after the chunk size | NUL in a chunk extension",
        "A space may stand there only before an extension, and an extension's name is a token.",
        "RFC 9112 section 7.1.1",
        refuse=(US,),
    ),
    a_class(
        "chunk-lines",
        "rubbish after the chunk size | chunks ended by LF",
        "The tolerance for a bare LF is for the head alone; in chunks it moves the border between data and size. curl "
        "looks for digits and takes any end of line.",
        "RFC 9112 sections 2.2 and 7.1",
        refuse=(US, REQUESTS),
        odd=(REQUESTS,),
        varies=True,
    ),
    a_class(
        "chunk-end",
        "last chunk without its empty line | last chunk cut | trailers cut",
        "A body in chunks ends with its last chunk and an empty line. Without them it was cut; requests does not look.",
        "RFC 9112 sections 7.1 and 8",
        refuse=(US, CURL),
    ),
    a_class(
        "trailer-bad",
        "bad trailer",
        "A trailer is a field like any other.",
        "RFC 9112 section 7.1.2",
        refuse=(US, CURL),
    ),
    a_class(
        "trailer-framing",
        "trailer with a length",
        "A trailer must not carry framing; one that does tries to be read as a header.",
        "RFC 9110 section 6.5.1",
        refuse=(US,),
    ),
    a_class(
        "bodiless",
        "204 in chunks | 204 with a body | 304 with a body | 304 with a location",
        "A 204 or 304 ends with its headers, whatever they announce. requests reads on where they say chunked.",
        "RFC 9112 section 6.3",
        odd=(REQUESTS,),
        varies=True,
    ),
    # Encodings
    a_class(
        "encoding-cut",
        "cut gzip | gzip without its sum | cut deflate | cut br",
        "The compressed data says where it ends, and it has not ended. The others hand out what they have.",
        "RFC 1952 section 2.3, RFC 1950 section 2.2, RFC 7932 section 9",
        refuse=(US,),
    ),
    a_class(
        "encoding-cut-zstd",
        "cut zstd",
        "The same; urllib3 sees it in some places.",
        "RFC 8878 section 3.1.1",
        refuse=(US, REQUESTS),
        varies=True,
    ),
    a_class(
        "encoding-unknown",
        "unknown encoding | compress",
        "What was not asked for cannot be undone. requests shows the encoded bytes as if they were the body.",
        "RFC 9110 section 8.4",
        refuse=(US, CURL),
    ),
    a_class(
        "encoding-thrice",
        "three encodings",
        "Two are already more than anybody uses, and each layer multiplies a bomb.",
        "RFC 9110 section 8.4, limit of ours",
        refuse=(US,),
    ),
    a_class(
        "encoding-identity",
        "gzip and identity",
        "identity changes nothing. urllib3 does not know it in a list.",
        "RFC 9110 section 8.4",
        refuse=(REQUESTS,),
    ),
    a_class(
        "gzip-members",
        "gzip in two members",
        "gzip data is one member or more. curl refuses the second.",
        "RFC 1952 section 2.2",
        refuse=(CURL,),
    ),
    a_class(
        "gzip-behind",
        "gzip with zeros behind | gzip with rubbish behind | deflate with rubbish behind",
        "The data is whole and its sum is right; what stands behind it is padding, as for gzip itself.",
        "RFC 1952 section 2.2",
        refuse=(CURL,),
    ),
    # Endings and sizes
    a_class(
        "cut",
        "cut anywhere | cut by one byte | nothing at all | 100 and nothing more",
        "A head that ends before its empty line, or a last chunk without its end, was cut. curl and requests take the end "
        "of the stream for the end of the head, and so an answer without a body for a whole one.",
        "RFC 9112 section 8",
        refuse=(US, CURL, REQUESTS),
        odd=(CURL, REQUESTS),
        varies=True,
    ),
    a_class(
        "large",
        "a body above the limit",
        "One mebibyte is the most that a check takes. The others have no limit.",
        "limit of ours",
        refuse=(US,),
    ),
    # Redirects, only where they are followed
    a_class(
        "location-backslash",
        "with a backslash",
        "A backslash is in no URI, and whoever reads it as a slash lands on another host.",
        "RFC 3986 section 2",
        refuse=(US,),
        odd=(CURL, REQUESTS),
        followed=True,
    ),
    a_class(
        "location-tab",
        "to a tab",
        "A tab is in no URI. requests takes it out and goes where nobody pointed.",
        "RFC 3986 section 2",
        refuse=(US, CURL),
        followed=True,
    ),
    a_class(
        "location-bytes",
        "in Latin-1 | outside ASCII | with a space inside",
        "Not a URI, so each repairs it. Ours reads UTF-8, else Latin-1, and percent-encodes UTF-8 as a URI has it; curl "
        "writes small digits, keeps bytes, and a plus for a space.",
        "RFC 3986 sections 2.1 and 2.5",
        odd=(CURL,),
        followed=True,
    ),
    a_class(
        "location-body",
        " | ".join(name for name, (part, _) in ODDITIES.items() if part == "location"),
        "Ours reads each answer on the way whole, because a proxy that garbles one is broken. curl passes over the body of "
        "a redirect that it follows, and requests over every fault in it, also where it does not follow.",
        "RFC 9112 section 8",
        refuse=(US, CURL, REQUESTS),
        beside=_BEHIND,
    ),
    a_class(
        "location-crash",
        "in Latin-1",
        "A Location outside UTF-8 ends requests in a UnicodeDecodeError, also where it is not followed.",
        "RFC 9110 section 5.5",
        refuse=(REQUESTS,),
    ),
    a_class(
        "location-codes",
        "300 with a location | 304 with a location | 306 with a location",
        "Not every 3xx is a redirect: 304 speaks of a cache, 306 of nothing any more, and 300 offers a choice. curl follows all.",
        "RFC 9110 section 15.4",
        odd=(CURL,),
        followed=True,
    ),
    a_class(
        "location-spaces",
        "with spaces around",
        "The spaces around a value are no part of it.",
        "RFC 9110 section 5.5",
        odd=(REQUESTS,),
        followed=True,
    ),
    a_class(
        "location-twice",
        "to two places",
        "Two of what may come once: ours and curl go to the first, requests to both at once, which is nowhere.",
        "RFC 9110 section 5.3",
        odd=(REQUESTS,),
        followed=True,
    ),
]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One answer that was not read the same, the classes that explain it, and what none of them does."""

    oddities: frozenset[str]
    readings: Mapping[str, Reading]
    classes: tuple[str, ...]
    unexplained: str  # empty: all of it is explained


def compare(oddities: frozenset[str], readings: Mapping[str, Reading], *, followed: bool) -> Disagreement | None:
    """Return how these readings of one answer disagree; None: they do not."""
    if len({reading.essence for reading in readings.values()}) == 1:
        return None
    refusing = frozenset(name for name, reading in readings.items() if reading.kind != "whole")
    if len(refusing) == len(readings):
        return Disagreement(oddities, readings, (NAMES,), "")
    parts = Counter(ODDITIES[oddity][0] for oddity in oddities)
    known = [
        each
        for each in CLASSES
        if each.oddities & oddities
        and (followed or not each.followed)
        and (not each.beside or each.beside & parts.keys())
    ]
    used: dict[str, Class] = {}
    missing: list[str] = []
    for other in (CURL, REQUESTS):
        explaining, what = _about(other, readings, known)
        used |= {each.id: each for each in explaining}
        missing += [what] if what and not explaining else []
    if len(oddities) == 1 and not missing and not any(each.varies for each in used.values()):
        told = frozenset(name for each in used.values() for name in each.refuse)
        if told != refusing:
            missing.append(f"refused by {_listed(refusing)}, and not by {_listed(told)}")
    return Disagreement(oddities, readings, tuple(used), "; ".join(missing))


def _about(other: str, readings: Mapping[str, Reading], known: Sequence[Class]) -> tuple[list[Class], str]:
    """Return the classes that explain how ours and this one disagree, and how that is; an empty text: they agree."""
    mine, theirs = readings[US], readings[other]
    if mine.kind != "whole" and theirs.kind == "whole":
        return [each for each in known if US in each.refuse], f"ours refuses what {other} reads"
    if mine.kind == "whole" and theirs.kind != "whole":
        return [each for each in known if other in each.refuse], f"{other} refuses what ours reads"
    if mine.kind == "whole" and mine.essence != theirs.essence:
        return [each for each in known if other in each.odd], f"{other} reads something else"
    return [], ""
