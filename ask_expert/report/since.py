"""Read the beginning of a report's time: `7d`, `24h`, a date, or an ISO 8601 instant."""

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
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError as error:
        raise ValueError(
            f"{text[:60]!r} is no time; give 30m, 24h, 7d, 2w, a date such as "
            "2026-11-01, or an ISO 8601 instant"
        ) from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(_FIRST, aware)
