"""
What goes on behind the callers' backs while a server lives.

The leases of its calls are renewed; what dead processes left behind is found, and
settled as `reconciliation` says.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random

import anyio
import anyio.abc
import anyio.to_thread
import structlog

from ask_expert import reconciliation
from ask_expert.errors import LedgerError
from ask_expert.house import House
from ask_expert.in_flight import Flights
from ask_expert.ledger import leases

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_RENEW_EVERY_S = 10.0
"""Pause between two looks whether a lease is due; a look costs nothing."""

_SWEEP_EVERY_S = 60.0


@asynccontextmanager
async def going_on(
    house: House, flights: Flights, tasks: anyio.abc.TaskGroup
) -> AsyncGenerator[None]:
    """Renew and sweep during a block, and after it until the last call has landed."""
    ended = anyio.CancelScope()
    rng = Random()  # noqa: S311  # jitter

    async def go_on() -> None:
        with ended:
            async with anyio.create_task_group() as both:
                both.start_soon(_renewing, house, flights)
                both.start_soon(_sweeping, house, flights, rng)

    tasks.start_soon(go_on)
    yield
    await flights.landed()
    ended.cancel()


async def renew(house: House, flights: Flights) -> bool:
    """
    Renew the leases of all calls on their way if one is due; return whether it was.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    under_way = flights.under_way()
    return await anyio.to_thread.run_sync(
        lambda: leases.renew(house.ledger, under_way, now_us=house.now_us())
    )


async def sweep(house: House, flights: Flights, failed: reconciliation.Failed) -> None:
    """
    Find what dead processes left behind, and settle what can be.

    Args:
        house: Ledger, settings and keys.
        flights: The calls that go on.
        failed: Which providers could not be asked so far; kept from call to call.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    alive = frozenset(flights.under_way())
    await anyio.to_thread.run_sync(
        lambda: house.ledger.sweep(now_us=house.now_us(), alive=alive)
    )
    await reconciliation.look_after(house, failed)


async def _renewing(house: House, flights: Flights) -> None:
    while True:
        await anyio.sleep(_RENEW_EVERY_S)
        try:
            await renew(house, flights)
        except LedgerError as error:
            _log.warning("the leases of calls cannot be renewed", error=str(error))


async def _sweeping(house: House, flights: Flights, rng: Random) -> None:
    failed: reconciliation.Failed = {}
    while True:
        # Servers that were started together do not all come at once.
        await anyio.sleep(_SWEEP_EVERY_S * rng.uniform(0.75, 1.25))
        try:
            await sweep(house, flights, failed)
        except LedgerError as error:
            _log.warning("the ledger cannot be looked after", error=str(error))
