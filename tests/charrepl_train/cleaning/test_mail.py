"""What is left of mail: what its senders wrote."""

from __future__ import annotations

import base64
import quopri

import pytest

from tests.charrepl_train.cleaning.cleaning import clean, counted

HEADER = "From: Ada <ada@example.org>\nDate: Mon, 1 Dec 2025 10:00:00 +0000\nSubject: Re: engines\n"
MAIL = f"""\
{HEADER}In-Reply-To: <2@example.org>
 <3@example.org>

On Mon, 1 Dec 2025 at 09:00, Charles Babbage <charles@example.org>
wrote:

> It weaves patterns.
> As looms do.

So it does.
Charles writes:
> And numbers?
Those too.

--
Ada
Somewhere
_______________________________________________
engines mailing list
https://example.org/engines
"""
OWN = "So it does.\nThose too.\n"


def test_only_what_the_sender_wrote_is_left_and_the_rest_is_counted() -> None:
    assert clean(MAIL, "mail") == OWN
    assert counted(MAIL, "mail") == {
        "lines of mail headers": 5,
        "lines that say who wrote": 3,
        "quoted lines": 3,
        "lines of signatures and footers": 6,
    }


@pytest.mark.parametrize(
    "separator", ["", "From ada@example.org Mon Dec  1 10:00:00 2025\n"], ids=["mails", "mbox"]
)
def test_one_mail_follows_the_other(separator: str) -> None:
    box = (separator + MAIL + "\n") * 3
    assert clean(box, "mail") == "\n".join([OWN] * 3)
    assert counted(box, "mail").get("mbox separators", 0) == (3 if separator else 0)


def test_a_line_that_begins_with_from_is_no_mail() -> None:
    text = "So it was.\n\nFrom there on, at 10:00 of 2025, we walked.\n"
    assert clean(text, "mail") == text
    box = f"From a@b Mon Dec  1 10:00:00 2025\n{HEADER}\n>From here\non\n"
    assert clean(box, "mail") == "From here\non\n"


def part(kind: str, text: str, encoding: str = "7bit", more: str = "") -> str:
    content = f"Content-Type: {kind}; charset=iso-8859-1{more}\nContent-Transfer-Encoding: {encoding}\n"
    return f"--x\n{content}\n{text}\n"


def test_of_the_parts_of_a_mail_the_text_is_read_and_decoded() -> None:
    words = "Schöne Grüße".encode("latin-1")
    printable = quopri.encodestring(words).decode()
    page = part("text/html", "<p>Sch&ouml;ne <b>Gr&uuml;&szlig;e</b></p>")
    picture = part("image/png", base64.b64encode(b"\x89PNG" * 99).decode(), "base64", "; name=a.png")
    head = f"{HEADER}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    both = head + part("text/plain", printable, "quoted-printable") + page + picture + "--x--\n"
    assert clean(both, "mail") == "Schöne Grüße\n"
    assert counted(both, "mail")["attachments"] == 1
    assert clean(head + page + "--x--\n", "mail") == "Schöne Grüße\n"
    in_bytes = head + part("text/plain", base64.b64encode(words).decode(), "base64") + "--x--\n"
    assert clean(in_bytes, "mail") == "Schöne Grüße\n"


def test_what_was_forwarded_or_signed_is_left_out() -> None:
    signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA1\n\nYes.\n-----BEGIN PGP SIGNATURE-----\nabc=\n"
    assert clean(f"{HEADER}\n{signed}-----END PGP SIGNATURE-----\n", "mail") == "Yes.\n"
    original = "-----Original Message-----\nFrom: C\nSent: today\nTo: A\nSubject: x\n\nNo.\n"
    assert clean(f"{HEADER}\nYes.\n\n{original}", "mail") == "Yes.\n"
    assert clean(f"{HEADER}\nYes.\n{'_' * 32}\nFrom: C\nSent: today\nTo: A\n\nNo.\n", "mail") == "Yes.\n"


@pytest.mark.parametrize(
    "text",
    ["He said:\n\n\n\n> a\n", "To: whom?\nFrom: where?\n", "One\n--\nTwo\n", "A list:\n- a\n- b\n"],
    ids=["after a gap", "two labels", "dashes", "a list"],
)
def test_of_a_text_that_is_no_mail_only_quotations_are_left_out(text: str) -> None:
    assert clean(text, "mail") == text.replace("> a\n", "")


NEXT_PART = "-------------- next part --------------\n"
SCRUBBED = """\
A non-text attachment was scrubbed...
Name: not available
Type: application/pgp-signature
URL: <https://example.org/pipermail/engines/attachments/1/2.bin>
"""


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (f"So it does.\n{NEXT_PART}{SCRUBBED}", "So it does.\n"),
        (f"{SCRUBBED}\nSo it does.\n", "So it does.\n"),
        (f"So it does.\n{NEXT_PART}{SCRUBBED}\n{NEXT_PART}Cards follow.\n", "So it does.\n\nCards follow.\n"),
        # As Mailman has it, with no blank line after a note.
        (
            f"So it does.\n{NEXT_PART}{SCRUBBED}{NEXT_PART}Cards follow.\nOn two lines.\n\nEnd.\n",
            "So it does.\nCards follow.\nOn two lines.\n\nEnd.\n",
        ),
        (f"____________________\n{NEXT_PART}{SCRUBBED}\nMine.\n", "____________________\n\nMine.\n"),
        ("A wall was scrubbed...\n  and shone.\nMine.\n", "A wall was scrubbed...\n  and shone.\nMine.\n"),
        (
            "A page was scrubbed... and shone.\n\nSo it was.\n",
            "A page was scrubbed... and shone.\n\nSo it was.\n",
        ),
    ],
)
def test_what_a_list_archive_says_of_attachments_is_left_out(body: str, left: str) -> None:
    assert clean(f"{HEADER}\n{body}", "mail") == left


@pytest.mark.parametrize(
    ("body", "left"),
    [
        # By initials and by name, as Emacs quotes.
        (
            "On Mon, 1 Dec 2025 10:00:00 +0000 Ada Lovelace <ada@example.org> wrote: \n\n"
            "AL> It weaves.\n\nYes.\n\nAL>  As looms do.\nOr not.\n",
            "Yes.\n\nOr not.\n",
        ),
        ("Ada Lovelace <ada@example.org> writes:\nAda> It weaves.\nYes.\n", "Yes.\n"),
        # All of what was quoted was cut.
        (
            "On Thu, Aug 02, 2007 at 04:33:25PM -0400, Ada Lovelace wrote:\n<snip>\n\nYes.\n",
            "<snip>\n\nYes.\n",
        ),
        (
            "On Mon, 1 Dec 2025 10:00:00 +0000, Ada Lovelace\n<ada@example.org> wrote:\n\n"
            "    Ada> It weaves.\nYes.\n",
            "Yes.\n",
        ),
        ("Am 1.12.2025 um 10:00 schrieb Ada Lovelace:\n[...]\nYes.\n", "[...]\nYes.\n"),
    ],
)
def test_what_is_quoted_by_name_is_left_out(body: str, left: str) -> None:
    assert clean(f"{HEADER}\n{body}", "mail") == left


@pytest.mark.parametrize(
    "body",
    [
        "I typed this at 10:00:\nSQL> select 1;\nAL> What?\n",
        "On Oracle 2019 I ran this in SQL:\nSQL> select 1;\n",
        "At 10:00 the DB was asked this:\nAD> x\n",
        "In 1843 she wrote this of it: it weaves.\n",
        "In 1843 Ada Lovelace wrote of the engine:\n\n  It weaves.\n",
        "On page 1234 Knuth said:\n\n  It weaves.\n",
        "In my mail of 10:30 I wrote the following:\n\n  It weaves.\n",
    ],
)
def test_prompts_and_sentences_of_the_senders_own_stay(body: str) -> None:
    assert clean(f"{HEADER}\n{body}", "mail") == body


@pytest.mark.parametrize(
    "line",
    [
        "a@b wrote. ",
        "On A 1:11 @ wrote ",
        "Aa " * 3,
        "On 1 2011 wrote Aa <",
        NEXT_PART + SCRUBBED,
        "wrote:\n",
    ],
)
@pytest.mark.timeout(60)
def test_no_mail_takes_long(line: str) -> None:
    """What is looked for is bounded: pytest's timeout fails this where it is not."""
    body = line * 5000
    for whole in (body, f"On {body}:\nAA> x\n"):
        clean(f"{HEADER}\n{whole}", "mail")
