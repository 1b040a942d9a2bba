"""Is this value a secret, a stand-in for one, or program text?"""

from ask_expert.redaction.spans import pattern

_TEMPLATE_START_RE = r"[$%@{\[(]|<[^>]{0,200}>?$|[*xX•.#?_-]{3,}$"
_TEMPLATE_PART_RE = r"\$\{|\{\{|\$\(|%\(|<%|\.\.\.|\{[A-Za-z0-9_.:\[\]]{0,80}\}"
_WORDS = frozenset(
    """
    password passwd passphrase passcode pass pwd pw secret token key apikey api_key
    none null nil true false undefined string str text int integer number bool
    boolean bytes object any required optional default empty example sample
    placeholder changeme change-me change_me replaceme redacted masked hidden
    removed secretstr user username login admin foo bar baz test dummy fake value
    invalid missing expired unset unknown forgotten hash hashed encrypted plaintext
    plain environ getenv input prompt self this args kwargs
    """.split()  # noqa: SIM905 - a list of a hundred quoted words hides the words
)
_STAND_IN_RE = r"(?i:your|my|the|some|example|dummy|fake|insert|enter|replace)[-_ ]"
_CODE_RE = r"[A-Za-z_][A-Za-z0-9_]{0,80}(?:(?:\.|->|::|\?\.)[A-Za-z_][A-Za-z0-9_]{0,80}){1,10};?$"
_NAME_RE = (
    r"(?:[a-z]{1,30}[0-9]{0,2}(?:[_.:/ -][a-z]{0,30}[0-9]{0,2}){0,12}"
    r"|[A-Z]{1,30}[0-9]{0,2}(?:[_-][A-Z]{0,30}[0-9]{0,2}){0,12}"
    r"|[A-Za-z]{1,60}[0-9]{0,2})$"
)


def is_placeholder(value: str) -> bool:
    """Return whether a value stands in for a secret: `${PASSWORD}`, `<token>`, `xxx`."""
    value = value.strip().rstrip(";,")
    return (
        value.lower() in _WORDS
        or pattern(_TEMPLATE_START_RE).match(value) is not None
        or pattern(_TEMPLATE_PART_RE).search(value) is not None
        or pattern(_STAND_IN_RE).match(value) is not None
        or len(set(value)) == 1
    )


def is_code(value: str) -> bool:
    """Return whether an unquoted value is an expression such as `self.token`."""
    return pattern(_CODE_RE).match(value) is not None


def is_name(value: str) -> bool:
    """Return whether a value is made of words, as `access_token` or `Bearer` is."""
    return pattern(_NAME_RE).match(value) is not None


def is_opaque(value: str, *, least: int) -> bool:
    """
    Return whether a value can be a token: one piece, no words, letters and digits.

    Args:
        value: What stands where a token is expected.
        least: Fewest characters of a token in this place.
    """
    return (
        len(value) >= least
        and not is_placeholder(value)
        and not is_code(value)
        and not is_name(value)
        and has_letters_and_digits(value)
        and "://" not in value
        and not value.startswith(("/", "./", "../", "~/"))
    )


def has_letters_and_digits(value: str) -> bool:
    """Return whether a value has both letters and digits."""
    return all(pattern(shape).search(value) for shape in ("[A-Za-z]", "[0-9]"))
