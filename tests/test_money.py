from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.money import NANO, nusd, show, tokens_nusd, tokens_within, usd

PRICES = st.decimals(min_value=0, max_value=1000, places=4)


def test_an_amount_is_rounded_up_to_the_nano_dollar() -> None:
    assert nusd(Decimal("0.0000000001")) == 1
    assert nusd(Decimal("1.5")) == 1_500_000_000


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_amount_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        nusd(Decimal(bad))


@given(st.integers(min_value=0, max_value=2**62))
def test_whole_nano_dollars_survive_the_way_to_dollars_and_back(amount: int) -> None:
    assert nusd(usd(amount)) == amount


@given(st.integers(min_value=0, max_value=10**9), PRICES)
def test_tokens_that_are_bought_never_cost_more_than_the_money(
    amount: int, price: Decimal
) -> None:
    tokens = tokens_within(amount, price)

    assert price == 0 or tokens_nusd(tokens, price) <= amount


def test_a_cached_token_of_the_cheapest_model_is_ten_nano_dollars() -> None:
    assert tokens_nusd(1, Decimal("0.01")) == 10


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (NANO, "$1.00"),
        (12_300_000, "$0.0123"),
        (450, "$0.000001"),
        (-NANO // 2, "-$0.50"),
        (1234 * NANO, "$1234.00"),
    ],
)
def test_an_amount_is_shown_with_cents_at_least_and_rounded_up(
    amount: int, text: str
) -> None:
    assert show(amount) == text
