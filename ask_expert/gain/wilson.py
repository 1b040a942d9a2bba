"""
The interval of a share.

Source:
    Wilson (1927), "Probable inference, the law of succession, and statistical
    inference".
"""

import math

from ask_expert.gain.estimate import LEVEL, normal_quantile


def wilson(share: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """
    Return the interval of a share; (0, 1) where nothing was counted.

    Args:
        share: In [0, 1].
        n: Of how many; an effective number need not be whole.
        level: Of the interval, two-sided.

    Raises:
        ValueError: `share` is none, or `n` is negative.
    """
    if not 0 <= share <= 1 or n < 0:
        raise ValueError(f"no share of a number of things: {share} of {n}")
    if n == 0:
        return 0.0, 1.0
    z2 = normal_quantile(level) ** 2
    middle = share + z2 / (2 * n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
    scale = 1 + z2 / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
