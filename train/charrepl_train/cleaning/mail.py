"""Mail as what its senders wrote: without headers, quotations, signatures and attachments.

It reads mbox files, as mail programs and list archives give them, single mails, and texts with mails in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl_train.cleaning import html_pages, lines

if TYPE_CHECKING:
    from email.message import Message

_SEPARATOR = re.compile(r"From \S.*\d\d:\d\d.*\d{4}")
_HEADER = re.compile(
    r"(From|To|Cc|Bcc|Date|Sent|Subject|Sender|Reply-To|In-Reply-To|References|Message-ID|Received|Return-Path"
    r"|MIME-Version|Content-Type|Content-Transfer-Encoding|Delivered-To|Mailing-List|X-[\w-]+):",
    re.IGNORECASE,
)
_FIELD = re.compile(r"[!-9;-~]+:|[ \t]+\S")  # the first line of any field, or one that continues it
_MULTIPART = re.compile(r"content-type:\s*multipart/", re.IGNORECASE)
_QUOTED = re.compile(r" ?>(?!From )")
_VERB = "wrote|writes|said|schrieb|écrit|escribió|scritto|schreef|skrev|escreveu|napisał|kirjoitti|написал"
_SAID = re.compile(rf"\b(?:{_VERB})\b", re.IGNORECASE)
_WROTE = re.compile(rf"@|\d:\d\d|\b\d{{4}}\b|{_SAID.pattern}", re.IGNORECASE)
_DATED = re.compile(r"(?:On|At|In|Am|Le|El|Il|Op|Em|Den|W dniu)\b")  # begins a long one
# With a date, and after the verb nothing but a name: a sentence of the sender's own goes on otherwise.
_DATED_SAID = re.compile(
    rf"{_DATED.pattern}.{{0,200}}?(?:@|\d:\d\d|\d\D{{1,12}}\d{{4}}\b|\b\d{{4}}\D\d).{{0,200}}?{_SAID.pattern}"
    r"(?:[^\w<.]|\b[A-ZÀ-Þ]\w*\b|<[^>]{0,80}>){0,40}[:：]\s*$"
)
_CAPITALISED = re.compile(r"\b[A-ZÀ-Þ]\w*")
_CITED = re.compile(r"[ \t]{0,4}(\w{2,12})>")  # by Emacs, with who wrote it: AL> or Ada>
_FORWARDED = re.compile(
    r"-{2,} ?(?:Original Message|Forwarded [Mm]essage|Ursprüngliche Nachricht|Weitergeleitete Nachricht"
    r"|Message d'origine|Mensaje original|Messaggio originale|Oorspronkelijk bericht)\b"
)
_OUTLOOK = re.compile(r"_{20,}\s*$")  # above the headers of what it quotes
_SIGNATURE = re.compile(r"--\s*$")
_NEXT_PART = re.compile(r"-{10,} next part -{10,}\s*$")  # by list archives, in the place of an attachment
_SCRUBBED = re.compile(r"An? .+ was scrubbed\.\.\.")
_OF_SCRUBBED = re.compile(r"(?:Name|Type|Size|Desc|Url|From|Subject|Date|MD5) ?:", re.IGNORECASE)
_RULE = re.compile(r"[-_=*~]{20,}\s*$")
_FOOTER = re.compile(r"https?://|@|\bmailing list|unsubscribe", re.IGNORECASE)
_PGP = re.compile(r"-----BEGIN PGP (SIGNED MESSAGE|SIGNATURE|PUBLIC KEY BLOCK)-----")
_LEAST_HEADERS = 3  # lines in a row, within a mail
_SIGNATURE_LINES, _PGP_LINES = 15, 100  # at most
_HEAD = 4096  # bytes, in which a mail's headers are
_TEXT_LINES = 20_000  # without a mail in them, that are looked at together


def is_mail(file: Path) -> bool:
    """Whether a file begins as mail does, whatever it is encoded in; one that cannot be read does not."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD).decode("latin-1").replace("\r\n", "\n").splitlines(keepends=True)
    except OSError:
        return False
    return bool(head) and (bool(_SEPARATOR.match(head[0])) or _headers(head) > 0)


def cleaned(pieces: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """As `kinds.cleaned`, of mail. Bytes that could not be decoded are read as each mail says."""
    return lines.joined(_cleaned(lines.split(pieces), counts))


def _cleaned(text: Iterator[str], counts: Counter[str]) -> Iterator[str]:
    written = False
    for mail in _mails(text):
        separated = bool(_SEPARATOR.match(mail[0]))
        counts["mbox separators"] += separated
        mail = mail[separated:]
        headers = _headers(mail)
        if headers:
            counts["lines of mail headers"] += headers
            own = _own(_body(mail, counts), counts, is_mail=True)
        else:
            own = _own(mail, counts, is_mail=separated)
        if (separated or headers) and written and own:
            yield "\n"
        yield from own
        written = written or bool(own)


def _mails(text: Iterator[str]) -> Iterator[list[str]]:
    """The lines of each mail, and of text that no mail is in."""
    mail: list[str] = []
    mbox = in_mail = multipart = False
    for paragraph in _paragraphs(text):
        if _SEPARATOR.match(paragraph[0]) and (mbox or not mail):
            begins = mbox = True
        else:
            begins = not mbox and not multipart and _is_header(paragraph)
        if mail and (begins or (not in_mail and len(mail) >= _TEXT_LINES)):
            yield mail
            mail = []
        if begins:
            in_mail, multipart = True, any(map(_MULTIPART.match, paragraph))
        mail += paragraph
    if mail:
        yield mail


def _paragraphs(text: Iterator[str]) -> Iterator[list[str]]:
    """Lines up to blank ones, and those."""
    paragraph: list[str] = []
    for line in text:
        after = paragraph and not paragraph[-1].strip()
        if paragraph and ((after and line.strip()) or len(paragraph) >= _TEXT_LINES):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _headers(mail: Sequence[str]) -> int:
    """How many lines of headers a mail begins with."""
    end = next((n for n, line in enumerate(mail) if not _FIELD.match(line)), len(mail))
    names = _names(mail[:end])
    ends = end == len(mail) or not mail[end].strip()
    return end if ends and "from" in names and names & {"date", "subject", "message-id"} else 0


def _names(header: Sequence[str]) -> set[str]:
    return {line.partition(":")[0].lower() for line in header}


def _is_header(paragraph: Sequence[str]) -> bool:
    """Whether it is the header of a mail of its own, which has a sender and a date."""
    return bool(_headers(paragraph)) and "date" in _names(paragraph)


def _body(mail: Sequence[str], counts: Counter[str]) -> list[str]:
    """The lines of what a mail says, in plain text if it has that."""
    from email import message_from_bytes

    message = message_from_bytes("".join(mail).encode("utf-8", lines.UNDECODABLE))
    plain, pages = [], []
    for part in message.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        if part.get_filename() or kind not in ("text/plain", "text/html"):
            if part is message and part.get_content_maintype() in ("multipart", "message"):
                plain.append(_decoded(part))  # of which an archive left only the text
            else:
                counts["attachments"] += 1
        elif kind == "text/plain":
            plain.append(_decoded(part))
        else:
            pages.append(_decoded(part))
    text = "\n".join(plain) if "".join(plain).strip() else ""
    text = text or "\n".join("".join(html_pages.cleaned([page], counts)) for page in pages)
    return list(lines.split([text]))


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    said = part.get_content_charset() or "utf-8"
    said = "cp1252" if said in ("us-ascii", "iso-8859-1", "latin-1") else said  # which is what is meant
    # An archive that is in UTF-8 may say otherwise of its mails; of encodings in ASCII that cannot be told.
    for encoding in (said, "utf-8") if data.isascii() else ("utf-8", said):
        try:
            text = data.decode(encoding)
            break
        except (LookupError, UnicodeError):
            pass
    else:
        text = data.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\0", "")


def _own(body: list[str], counts: Counter[str], *, is_mail: bool) -> list[str]:
    """The lines that the sender wrote."""
    left_out = [False] * len(body)

    def leave_out(rule: str, start: int, stop: int) -> None:
        fresh = [n for n in range(start, stop) if not left_out[n]]
        counts[rule] += sum(bool(body[n].strip()) for n in fresh)
        for n in fresh:
            left_out[n] = True

    _leave_out_pgp(body, leave_out)
    for start, stop in _runs(body, _HEADER):
        before = body[start - 1] if start else ""
        if stop - start >= _LEAST_HEADERS and (not before.strip() or _forwards(before)):
            leave_out("lines of mail headers", start, stop)
    for start, stop in _runs(body, _QUOTED):
        leave_out("quoted lines", start, stop)
        leave_out("lines that say who wrote", _attribution(body, start), start)
    if is_mail:
        forwarded = (
            n
            for n, line in enumerate(body)
            if _FORWARDED.match(line) or (_OUTLOOK.match(line) and any(left_out[n + 1 : n + 2]))
        )
        leave_out("quoted lines", next(forwarded, len(body)), len(body))
        _leave_out_notes(body, leave_out)
        _leave_out_cited(body, leave_out)
        end = len(body)
        while (cut := _signature(body, left_out, end)) < end:
            leave_out("lines of signatures and footers", cut, end)
            end = cut
    return _tidied(body, left_out, is_mail=is_mail)


def _forwards(line: str) -> bool:
    return bool(_FORWARDED.match(line) or _OUTLOOK.match(line))


def _runs(body: Sequence[str], pattern: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where lines in a row match, from and to."""
    start = None
    for n, line in enumerate(body):
        if not pattern.match(line):
            if start is not None:
                yield start, n
            start = None
        elif start is None:
            start = n
    if start is not None:
        yield start, len(body)


def _leave_out_pgp(body: Sequence[str], leave_out: Callable[[str, int, int], None]) -> None:
    for n, line in enumerate(body):
        found = _PGP.match(line)
        if found:
            within = range(n, min(n + _PGP_LINES, len(body)))
            signed = found[1] == "SIGNED MESSAGE"
            ends = (
                m for m in within if (not body[m].strip() if signed else body[m].startswith("-----END PGP"))
            )
            leave_out("lines of PGP", n, next(ends, n - 1) + 1)


def _leave_out_notes(body: Sequence[str], leave_out: Callable[[str, int, int], None]) -> None:
    """Without what a list's archive has written in the place of attachments."""
    for n, line in enumerate(body):
        end = n + bool(_NEXT_PART.match(line))
        note, field = ("".join(body[m : m + 1]) for m in (end, end + 1))
        if _SCRUBBED.match(note) and _OF_SCRUBBED.match(field):
            end = next((m for m in range(end + 1, len(body)) if not _OF_SCRUBBED.match(body[m])), len(body))
        leave_out("notes of attachments", n, end)


def _leave_out_cited(body: Sequence[str], leave_out: Callable[[str, int, int], None]) -> None:
    """Without lines that begin with the name or the initials of somebody who is said to have written them.

    And without what says so: for what it introduces, or with a date, where that was cut away.
    """
    cited: set[str] = set()
    for n, line in enumerate(body):
        by = _CITED.match(line)
        if by and by[1] in cited:
            leave_out("quoted lines", n, n + 1)
        start = _introduction(body, n)
        said = " ".join(part.strip() for part in body[start : n + 1])
        if not _SAID.search(said):
            continue
        words = _CAPITALISED.findall(_DATED.sub("", said, count=1))
        introduced = _CITED.match(next((other for other in body[n + 1 : n + 4] if other.strip()), ""))
        if introduced and (introduced[1] in words or introduced[1] in "".join(word[0] for word in words)):
            cited.add(introduced[1])
        elif not _DATED_SAID.match(said):
            continue
        leave_out("lines that say who wrote", start, n + 1)


def _attribution(body: Sequence[str], quoted: int) -> int:
    """Where the one or two lines begin that say who wrote what is quoted from there on."""
    end = quoted
    while end and not body[end - 1].strip():
        end -= 1
    if quoted - end > 1 or not end:
        return quoted
    start = _introduction(body, end - 1)
    return start if start < end else quoted


def _introduction(body: Sequence[str], last: int) -> int:
    """Where the one or two lines begin that say who wrote something, up to `last`; the next if none do."""
    if not body[last].rstrip().endswith((":", "：")):
        return last + 1
    start = last
    if last and _DATED.match(body[last - 1]) and (last == 1 or not body[last - 2].strip()):
        start = last - 1
    return start if _WROTE.search("".join(body[start : last + 1])) else last + 1


def _signature(body: Sequence[str], left_out: Sequence[bool], end: int) -> int:
    """Where a signature or a list's footer begins that ends at `end`; that if there is none."""
    while end and (left_out[end - 1] or not body[end - 1].strip()):
        end -= 1
    for n in range(max(0, end - _SIGNATURE_LINES), end):
        if _SIGNATURE.match(body[n]):
            return n
        if _RULE.match(body[n]) and _FOOTER.search(
            "".join(body[m] for m in range(n, end) if not left_out[m])
        ):
            return n
    return end


def _tidied(body: Sequence[str], left_out: Sequence[bool], *, is_mail: bool) -> list[str]:
    """The lines that are left, with no more blank ones than before; a mail's without those around it."""
    own: list[str] = []
    gap = is_mail
    for line, out in zip(body, left_out, strict=True):
        if out:
            gap = True
        elif line.strip() or not gap or (own and own[-1].strip()):
            own.append(line.removeprefix(">") if line.startswith(">From ") else line)
            gap = gap and not line.strip()
    while is_mail and own and not own[-1].strip():
        own.pop()
    if is_mail and own and not own[-1].endswith("\n"):
        own[-1] += "\n"
    return own
