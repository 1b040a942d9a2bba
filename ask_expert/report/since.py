"""Read an instant as one types it: `7d`, `24h`, a date, or an ISO 8601 instant."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str, now: datetime) -> datetime:
    """
    Return the instant that `text` means; without a zone it is UTC.

    Raises:
        ValueError: It is neither a length of time nor an instant; the text says
            what would be.
    """
    plain = text.strip()
    ago = _AGO.fullmatch(plain)
    if ago:
        length = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return max(_FIRST, now - min(length, now - _FIRST))
    return max(_FIRST, _instant(plain))


def ahead(text: str, now: datetime) -> datetime:
    """
    Return the instant to come that `text` means: `7d` is in seven days.

    Raises:
        ValueError: It is neither a length of time nor an instant, or it is no longer
            to come; the text says what would be.
    """
    plain = text.strip()
    length = _AGO.fullmatch(plain)
    try:
        if length:
            moment = now + timedelta(**{_UNITS[length[2]]: int(length[1])})
        else:
            moment = _instant(plain).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text[:60]!r} is too far away") from error
    if moment <= now:
        raise ValueError(f"{text[:60]!r} is not in the future")
    return moment


def _instant(plain: str) -> datetime:
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError as error:
        raise ValueError(
            f"{plain[:60]!r} is no time; give 30m, 24h, 7d, 2w, a date such as "
            "2026-11-01, or an ISO 8601 instant"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
