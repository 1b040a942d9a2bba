"""Every strategy by the name that a policy or a benchmark calls it by."""

from ask_expert.local.strategies.best_of_n import BestOfN
from ask_expert.local.strategies.greedy import Greedy, Think
from ask_expert.local.strategies.mixture import Mixture
from ask_expert.local.strategies.names import THINKING_TIMES, Choice, Name
from ask_expert.local.strategies.refine import Refine
from ask_expert.local.strategies.search import Search
from ask_expert.local.strategies.vote import Vote
from ask_expert.local.strategies.work import Seat, Strategy


def make(choice: Choice, *, others: tuple[Seat, ...] = ()) -> Strategy:
    """
    Return a strategy.

    Args:
        choice: Its name and options.
        others: The models beside the first, for `mixture`.
    """
    n = choice.count
    found: dict[Name, Strategy] = {
        "greedy": Greedy(),
        "think": Think(times=THINKING_TIMES),
        "vote": Vote(n=n),
        "weighted_vote": Vote(n=n, weighted=True),
        "best_of_n": BestOfN(n=n, by=choice.by),
        "refine": Refine(rounds=n),
        "mixture": Mixture(others=others),
        "search": Search(nodes=n),
    }
    return found[choice.name]
