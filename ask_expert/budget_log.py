"""Say in the log, once a window, that a budget will not last, and when it is used up."""

from collections.abc import Iterable
from datetime import datetime, tzinfo

import structlog

from ask_expert.budget import Cap, Room, from_us, to_us
from ask_expert.forecast import forecasts

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Forewarned:
    """
    Which windows this process has warned of.

    Another process that shares the ledger warns once, too: a log is read process by
    process, and a row in the ledger for each of them would cost every reply a write.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[Cap, bool], int] = {}

    def look(self, rooms: Iterable[Room], now: datetime, zone: tzinfo) -> None:
        """
        Log `budget_forecast` for every window that is first seen not to last.

        It is logged once more when nothing is left.
        """
        now_us = to_us(now)
        self._said = {what: end for what, end in self._said.items() if end > now_us}
        for each in forecasts(rooms, now):
            if {(each.cap, True), (each.cap, each.is_used_up)} & self._said.keys():
                continue
            self._said[each.cap, each.is_used_up] = each.cap.end_us
            _log.warning(
                "budget_forecast",
                budget=each.cap.label,
                unit=each.unit,
                used_up_at=from_us(each.used_up_us).isoformat(),
                renews_at=from_us(each.cap.end_us).isoformat(),
                says=each.sentence(zone),
            )
