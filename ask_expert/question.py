"""A question: a stuck sub-problem with what the agent knows about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """
    Who asks, and from where; the keys that budgets and recall are scoped by.

    Attributes:
        session: One id per stdio connection, or `ASK_EXPERT_SESSION`.
        project: Absolute path of the client's working folder.
        user: The operating-system user, or the token's user over HTTP.
        agent: Name of the MCP client, as it introduced itself.
    """

    session: str
    project: str
    user: str
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    What the agent asks.

    Attributes:
        text: The question itself; never empty.
        context: Code, data and facts the expert needs.
        tried: Failed attempts, oldest first; None when the agent did not say.
        my_answer: The agent's current answer.
        stated_confidence: P(my answer is right) as the agent states it, in [0, 1].
        error: Last error message or failing test output, verbatim.
        check: Name of a check from the settings.
        files: Paths to send along, relative to the project.
        task: The agent's name for the task at hand.
        thread: Id of a conversation to continue.
        caller: Who asks.
    """

    text: str
    caller: Caller
    context: str | None = None
    tried: tuple[str, ...] | None = None
    my_answer: str | None = None
    stated_confidence: float | None = None
    error: str | None = None
    check: str | None = None
    files: tuple[str, ...] = ()
    task: str | None = None
    thread: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a conversation with an expert."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """
    What an expert is sent, before it takes a provider's shape.

    Attributes:
        system: Who the expert helps, and how to answer.
        turns: The conversation, oldest first; the last one is the question.
        template: Name and version of the template, for the ledger.
        stored: The last turn as the ledger keeps it: without the contents of files.
        sent: Names of the parts that it holds.
        left_out: Names of those that it does not hold, or not whole, with the reason.
        skipped_turns: How many turns of the thread are left out.
    """

    system: str
    turns: tuple[Turn, ...]
    template: str = ""
    stored: str = ""
    sent: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    skipped_turns: int = 0


Fact = bool | int | float | str
"""One thing a policy rule can test; an absent fact makes the rule abstain."""

Facts = dict[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """
    One file, or the reason why it stays here.

    Attributes:
        path: As the agent named it.
        text: The text to send, before masking; None when it is left out.
        left_out: Why nothing of it is sent.
    """

    path: str
    text: str | None = None
    left_out: str | None = None
