"""What looks like a secret: passwords, tokens and keys, by a list of rules that rather find too much."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from charrepl.shell_history.history_files import Command

# A value that is there: no variable, no command's output, no placeholder.
_VALUE = r"(?![\"']?(?:[$`<]|%s|\{\{|\s|$))[^\s]"
# How names of secrets end.
_SECRET = (
    r"(?:pass(?:w(?:or)?d|phrase)?|[_-]pwd|secret|token|credentials?|api[_-]?key|(?:access|account|auth|"
    r"private|encryption|signing|master|license|client|service|ssh|deploy|storage)[_-]?key|auth|_key)"
)
# Each begins where a word does.
_SERVICES = (
    r"gh[pousr]_\w{20,}|github_pat_\w{20,}",
    r"gl[a-z]{2,5}-[\w-]{16,}",  # GitLab
    r"xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|hooks\.slack\.com/\w+/\w+",
    r"A[KSBC][ICA]A[A-Z0-9]{16}\b",  # AWS
    r"AIza[\w-]{30,}|ya29\.[\w-]{8,}|GOCSPX-[\w-]{8,}|1//0[\w-]{20,}",  # Google
    r"[srp]k_(?:live|test)_\w{8,}|whsec_\w{8,}",  # Stripe
    r"sk-[\w-]{16,}|gsk_\w{16,}|xai-\w{16,}|r8_\w{16,}|pplx-\w{16,}",  # language models
    r"npm_\w{30,}|pypi-[\w-]{16,}|rubygems_\w{16,}|dckr_[a-z]+_[\w-]{16,}|cio\w{30,}",  # registries
    r"hf_\w{16,}|AC[0-9a-f]{32}\b|SK[0-9a-f]{32}\b|SG\.[\w-]{12,}\.[\w-]{12,}",  # Hugging Face, Twilio
    r"key-[0-9a-f]{32}\b|do[opr]_v1_\w{32,}|shp[a-z]{2}_\w{32}|dapi[0-9a-f]{32}",
    r"(?:bot)?\d{8,10}:AA[\w-]{30,}|discord(?:app)?\.com/api/webhooks/\d+/[\w-]+",  # Telegram, Discord
    r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}",  # Discord
    r"hv[sbr]\.[\w-]{20,}|s\.[A-Za-z0-9]{24}\b|\w+\.atlasv1\.[\w-]{20,}",  # HashiCorp
    r"lin_api_\w{16,}|ntn_\w{16,}|secret_\w{32,}|figd_[\w-]{16,}|ATATT3[\w=-]{16,}",
    r"gl(?:sa|c)_[\w=]{16,}|NRAK-\w{16,}|sntry[su]_\w{16,}|sq0[a-z]{3}-[\w-]{16,}|EAAA[\w-]{40,}",
    r"tskey-[\w-]{16,}|ops_ey\w{16,}|fo1_[\w-]{16,}|dp\.[a-z]+\.\w{16,}|sbp_\w{16,}",
    r"pscale_\w+_[\w.-]{16,}|HRKU-[\w-]{16,}|PMAK-[\w-]{16,}|phc_\w{16,}",
    r"eyJ[\w-]{8,}\.[\w-]{8,}",  # JSON web tokens
    r"(?:AccountKey|SharedAccessKey|SharedAccessSignature|sig)=[\w%+/-]{16,}",  # Azure
)
# Programs that take a password as an argument, and how.
_PROGRAMS = (
    r"sshpass\s+-p(?:\s|{value})",
    r"(?:mysql|maria|mycli)[\w-]*\b{more}\s-p(?=[^\s\"'$]|[\"'][^$])",
    r"(?:docker|podman|helm|az|oc|skopeo|buildah|crane|nerdctl|cf|ibmcloud)\b{more}\blogin\b{more}"
    r"\s-p[ =]*{value}",
    r"(?:mongo\w*|rdesktop|redis-cli|influx|cqlsh|sqlcmd|bcp|sqlplus|keytool|htpasswd)\b{more}"
    r"\s-(?:p|P|a|b|storepass|keypass)\s?(?![-/]){value}",
    r"(?:curl|wget|https?|smbclient|rpcclient|lftp)\b{more}"
    r"\s(?:-u|-U|-a|--user|--proxy-user)[ =]?[\"']?[^\s$:%]+[:%](?![$/\s])",
    r"ldap\w+\b{more}\s-w\s*{value}",
    r"(?:unzip|zip|7z\w*|u?nrar|rar)\b{more}\s-[pP]\s?(?![/-]){value}",
    r"x?freerdp\b{more}/p:{value}",
    r"openssl\b{more}\bpass:{value}",
    r"net\s+user?(?:\s+\S+){{1,2}}?\s+(?!/){value}",
)


class Rule(NamedTuple):
    """What a rule is called, and what it looks for within a line."""

    name: str
    pattern: re.Pattern[str]


def _rule(name: str, *patterns: str, any_case: bool = False) -> Rule:
    return Rule(name, re.compile("|".join(patterns), re.IGNORECASE if any_case else 0))


RULES = (
    _rule("begins with a space", r"\A\s"),
    _rule(
        "private key",
        r"-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1\w|PuTTY-User-Key-File|\b[xyz]prv\w{50,}",
    ),
    _rule("token of a service", rf"\b(?=\S{{14}})(?:{'|'.join(_SERVICES)})"),
    _rule("password in a URL", r"://[^\s/:@\"']*:(?![$<{])[^\s/@\"']+@"),
    _rule(
        "key in a URL",
        rf"[?&](?:[\w.-]*{_SECRET}|key|sig|signature|code)=(?![$<{{])[^\s&]{{6,}}",
        any_case=True,
    ),
    _rule(
        "header",
        r"(?:authorization|cookie|api-?key|token|secret|\bx-auth[\w-]*)\s*:\s*"
        rf"(?:(?:bearer|basic|token|digest|bot)\s+)?+{_VALUE}",
        rf"\bbearer\s+{_VALUE}\S{{7,}}",
        any_case=True,
    ),
    _rule("assigned", rf"{_SECRET}\w?[\"']?\s*(?:=|:=|:\s*[\"'])\s*{_VALUE}", any_case=True),
    _rule("password as an option", rf"\s-[\w-]*{_SECRET}\s+(?!-){_VALUE}", any_case=True),
    _rule(
        "password as an argument",
        rf"\b(?:{'|'.join(one.format(more='[^|;&]*', value=_VALUE) for one in _PROGRAMS)})",
    ),
    _rule(
        "password through a pipe",
        r"(?:echo|printf)\s.*\|.*(?:stdin|\bsudo\b.*\s-\w*S|chpasswd|\bpasswd\b|secret|openssl\s+enc|passphrase|cryptsetup)",
        r"(?:stdin|sudo\s+-S|chpasswd|passphrase-fd|token).*<<<",
    ),
    _rule(
        "password as a value",
        rf"\b(?:set|add|put|create|config(?:ure)?|store|login)\b(?:\s+\S+){{0,3}}?\s+[\w./:-]*{_SECRET}\s+{_VALUE}",
        r"\bidentified\s+(?:with\s+\S+\s+)?by\s+[\"']|\bpassword\s+[\"']\S",
        any_case=True,
    ),
)
_WORD = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_KINDS = str.maketrans(
    {
        **dict.fromkeys("abcdefghijklmnopqrstuvwxyz", "a"),
        **dict.fromkeys("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "A"),
        **dict.fromkeys("0123456789", "0"),
    }
)
_HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
RANDOM = "long random string"


def without_secrets(commands: Iterable[Command]) -> tuple[list[Command], Counter[str]]:
    """The commands that no rule matches, and how many were left out by each rule."""
    kept, left_out = [], Counter[str]()
    known: dict[str, str] = {}
    for command in commands:
        rule = known.get(command.text)
        if rule is None:
            rule = known[command.text] = secret_by(command.text)
        if rule:
            left_out[rule] += 1
        else:
            kept.append(command)
    return kept, left_out


def secret_by(text: str) -> str:
    """The name of the first rule that a command matches; empty for none."""
    for rule in RULES:
        if rule.pattern.search(text):
            return rule.name
    return RANDOM if any(_is_random(word) for word in _WORD.findall(text)) else ""


@lru_cache(maxsize=4096)
def _is_random(word: str) -> bool:
    """Whether a word changes between small letters, capitals and digits as often as chance would have it.

    A hash, which has only hexadecimal digits, is no secret. Words of a path change where one of them ends.
    """
    letters = re.sub(r"[^A-Za-z0-9]", "", word)
    if len(letters) < 20 or _HEXADECIMAL.fullmatch(letters):
        return False
    kinds = word.translate(_KINDS)
    changes = sum(a + b in ("a0", "0a", "A0", "0A", "aA") for a, b in pairwise(kinds))
    mixed = {"a", "A", "0"} <= set(kinds)
    if mixed:
        return changes >= 0.28 * len(letters)
    longest = max(re.findall(r"[A-Za-z0-9]+", word), key=len)
    return len(longest) >= 24 and not _HEXADECIMAL.fullmatch(longest) and changes >= 0.2 * len(letters)
