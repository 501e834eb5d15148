"""Names that say that the value beside them is a credential: of headers, JSON members and query parameters.

Source: faults.md 5 (2), and its list of what must stay: ``token`` in logprobs, ``max_tokens``, ``key`` in keyboard
actions, schemas with a property named password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

#: Longer names are judged by their end.
_NAME_CHARACTERS: Final = 100
_CACHED: Final = 2048

_TOKENS: Final = "access|refresh|session|auth|bearer|security"
#: How the name ends, in any case and with ``-``, ``_``, a point, a space or nothing between its words.
_MEMBER: Final = re.compile(
    r"""(?x)
    (?: (?i: (?:api|private|secret|access|subscription|encryption|signing)[-_. ]?key | secret[-_. ]?access[-_. ]?key
           | (?:"""
    + _TOKENS
    + r""")[-_. ]?token | client[-_. ]?secret | authorization (?:[-_. ]?token)? | helicone[-_. ]?auth
           | password | passwd | passphrase )
      # These are the ends of other words, too: valid_token, androidToken.
      | (?: (?<![A-Za-z]) | (?<=[a-z0-9])(?=[A-Z]) ) (?i: id[-_. ]?token | secret | (?:set[-_. ]?)?cookie ) )
    (?P<plural>[sS]?) [-_. ]?[0-9]{0,4} \Z"""
)
_HEADER: Final = re.compile(
    r"authorization|cookie|api-?key|(?:\A|-)(?:(?:access|auth|private|secret|subscription)-?key|token|secret|password"
    r"|passwd|auth|signature)\Z"
)
_QUERY: Final = frozenset({
    "key", "token", "sig", "code", "auth", "secret", "password", "signature", "x-amz-signature", "x-goog-signature",
    "x-amz-credential",
})  # fmt: skip

#: What may stand in a JSON Schema. A member of such a name with nothing else in it declares a field and holds none.
_SCHEMA: Final = frozenset(
    "$ref $schema $id $comment $defs additionalItems additionalProperties allOf anyOf const contentEncoding"
    " contentMediaType default definitions dependencies deprecated description enum example examples exclusiveMaximum"
    " exclusiveMinimum format if then else items maxItems maxLength maxProperties maximum minItems minLength"
    " minProperties minimum multipleOf not nullable oneOf optional pattern patternProperties prefixItems properties"
    " propertyNames propertyOrdering readOnly required strict title type uniqueItems writeOnly".split()
)
_TYPES: Final = frozenset({"string", "object", "number", "integer", "boolean", "array", "null"})


@lru_cache(_CACHED)
def _member(name: str) -> re.Match[str] | None:
    return _MEMBER.search(name)


def is_secret_member(name: str) -> bool:
    """Whether a JSON member of this name holds a credential: ``api_key``, ``X-Api-Key``, ``openaiApiKey2``."""
    return _member(name[-_NAME_CHARACTERS:]) is not None


def is_plural(name: str) -> bool:
    """Whether a secret member's name is a plural: a number in it counts something."""
    found = _member(name[-_NAME_CHARACTERS:])
    return found is not None and bool(found["plural"])


@lru_cache(_CACHED)
def _header(name: str) -> bool:
    return _HEADER.search(name.lower().replace("_", "-")) is not None


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a credential; headers about rate limits do not."""
    return _header(name[-_NAME_CHARACTERS:])


def is_secret_parameter(name: str) -> bool:
    """Whether a query parameter of this name, as it stands in the URL (``%6bey``), is a credential."""
    plain = unquote(name[-_NAME_CHARACTERS:]).lower().replace("_", "-")
    return plain in _QUERY or is_secret_member(plain)


def is_schema(value: Mapping[Any, Any]) -> bool:
    """Whether an object declares a field instead of holding a value."""
    if not all(isinstance(key, str) and (key in _SCHEMA or key.startswith("x-")) for key in value):
        return False
    kinds = value.get("type")
    return all(
        isinstance(kind, str) and kind.lower() in _TYPES
        for kind in (kinds if isinstance(kinds, list) else [kinds] if kinds is not None else [])
    )
