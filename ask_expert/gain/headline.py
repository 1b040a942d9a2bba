"""Which estimate of a hold-out comes first."""

from collections.abc import Sequence

from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.hajek import hajek
from ask_expert.gain.newcombe import is_constant, newcombe
from ask_expert.gain.observations import Observation, units


def headline(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain by raw arms (Newcombe) where every draw had the same chance.

    Else by normalised weights (Hájek), which the price of a solution and the bounds
    for unknown outcomes rest on too: a solved outcome more never makes an arm look
    worse, as it can with augmented weights. Below ten known outcomes in an arm it is
    an estimate without a value whose note says what is lacking.

    Raises:
        ValueError: As `units`.
    """
    chances = [unit.propensity for unit in units(rows)]
    if not chances or is_constant(chances):
        return newcombe(rows, level=level)
    return hajek(rows, level=level)
