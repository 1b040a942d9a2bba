"""
What the local model is asked while its answer is measured.

Every conversation begins with the same system text and the same problem, so that a
server's prefix cache works them out once.
"""

from ask_expert.question import Turn

SYSTEM = "You solve the problem you are given, briefly and exactly."

_ENDING = (
    "If it asks for code, write all of it in one fenced block. Otherwise end with one "
    "line that begins with 'Answer:' and holds the final answer alone."
)
DIRECT = f"Solve it. {_ENDING}"
STEPS = f"Work it out in numbered steps and check each of them. {_ENDING}"

_VERIFY = "Is the proposed answer correct? Reply with one word, yes or no."
_DEFEND = (
    "Defend this answer step by step: say of each step why it holds, and correct what "
    f"does not. {_ENDING}"
)
_REWORD = (
    "Put the problem above into other words: the same meaning, every number and name "
    "kept. Write the new wording alone."
)
_CHANGE = (
    "Change one assumption or one number of the problem above so that its right answer "
    "becomes another one. Write the changed problem alone."
)


def solve(problem: str, *, style: str = DIRECT) -> tuple[Turn, ...]:
    """Return the conversation in which the problem is to be solved."""
    return (
        Turn(role="system", text=SYSTEM),
        Turn(role="user", text=f"Problem:\n{problem}\n\n{style}"),
    )


def proposed(problem: str, answer: str) -> tuple[Turn, ...]:
    """Return the conversation in which the problem has been solved."""
    return (*solve(problem), Turn(role="assistant", text=answer))


def verify(problem: str, answer: str) -> tuple[Turn, ...]:
    """
    Return the conversation in which the answer is to be judged.

    Source:
        Kadavath et al. (2022), "Language Models (Mostly) Know What They Know",
        2207.05221, section 3.
    """
    return (*proposed(problem, answer), Turn(role="user", text=_VERIFY))


def defend(problem: str, answer: str) -> tuple[Turn, ...]:
    """Return the conversation in which the answer is to be defended."""
    return (*proposed(problem, answer), Turn(role="user", text=_DEFEND))


def reword(problem: str, answer: str) -> tuple[Turn, ...]:
    """Return the conversation in which the problem is to be put into other words."""
    return (*proposed(problem, answer), Turn(role="user", text=_REWORD))


def change(problem: str, answer: str) -> tuple[Turn, ...]:
    """Return the conversation in which one assumption is to be changed."""
    return (*proposed(problem, answer), Turn(role="user", text=_CHANGE))


def says(problem: str, first: str, second: str) -> tuple[Turn, ...]:
    """Return the conversation in which two answers are to be compared, one way."""
    text = (
        f"First answer:\n{first}\n\nSecond answer:\n{second}\n\n"
        "Does the first answer say all that matters in the second, and contradict "
        "nothing in it? Reply with one word, yes or no."
    )
    return solve(problem, style=text)
