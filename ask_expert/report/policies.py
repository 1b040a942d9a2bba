"""Policies for people: what presets there are, what is wrong with one, where they part."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ask_expert import settings_file
from ask_expert.errors import ConfigError
from ask_expert.experts.found import experts_from_environment
from ask_expert.home import expanded
from ask_expert.ledger import reads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.policy import presets
from ask_expert.policy.check import Finding, check
from ask_expert.policy.simulate import (
    ReplayRow,
    Table,
    compare,
    parse_rows,
    shipped_rows,
)
from ask_expert.report import desk
from ask_expert.settings import ExpertSettings


def presets_with_summaries() -> list[tuple[str, str]]:
    """Return each preset's name with the one line that its file begins with."""
    found: list[tuple[str, str]] = []
    for name in presets.PRESETS:
        first = presets.preset(name).read_text(encoding="utf-8").partition("\n")[0]
        found.append((name, first.lstrip("# ").removeprefix(f"{name}:").strip()))
    return found


def text(name_or_path: str, *, folder: Path) -> str:
    """
    Return a policy as it is written.

    Raises:
        ConfigError: There is no such preset or file, or it is wrong.
    """
    presets.load(name_or_path, home=folder)
    if name_or_path in presets.PRESETS:
        return presets.preset(name_or_path).read_text(encoding="utf-8")
    return (folder / expanded(Path(name_or_path))).read_text(encoding="utf-8")


def findings(
    name_or_path: str, *, folder: Path, home: Path, environ: Mapping[str, str]
) -> list[Finding]:
    """
    Return what can have no effect or cannot work in a policy.

    The ladder is held against the experts that there are; without any, it is not.

    Raises:
        ConfigError: There is no such preset or file, or it is wrong.
    """
    policy = presets.load(name_or_path, home=folder)
    try:
        experts = settings_file.load(home).experts
    except ConfigError:
        experts = ()
    experts = experts or experts_from_environment(environ)
    if not experts:
        return check(policy)
    return check(
        policy,
        [each.name for each in experts],
        paid_names=[each.name for each in experts if _is_paid(each)],
    )


def replayed(names: Sequence[str], *, questions: Path | None, folder: Path) -> Table:
    """
    Return every policy's decision on every question.

    Args:
        names: Presets or paths; all presets when empty.
        questions: JSON lines of id, text and facts; the shipped ones when None.
        folder: Where relative paths start.

    Raises:
        ConfigError: A policy or the questions cannot be read.
    """
    policies = [presets.load(name, home=folder) for name in names or presets.PRESETS]
    if questions is None:
        return compare(policies, shipped_rows())
    try:
        lines = questions.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=questions) from error
    return compare(policies, parse_rows(lines, file=questions))


def replayed_from_ledger(
    names: Sequence[str], *, folder: Path, home: Path, environ: Mapping[str, str]
) -> Table:
    """
    Return every policy's decision on the questions on record, oldest first.

    Each is decided from the facts that were known when it was asked.

    Raises:
        ConfigError: A policy cannot be read.
        LedgerError: The ledger cannot be read.
    """
    policies = [presets.load(name, home=folder) for name in names or presets.PRESETS]
    with desk.opened(home, environ) as open_desk:
        ledger = open_desk.ledger
        with translated_errors(ledger.path), reading(ledger.engine) as connection:
            rows = [
                ReplayRow(
                    id=row.id,
                    text="",  # a decision rests on facts alone
                    facts=row.facts,
                )
                for row in reads.decided_questions(connection)
            ]
    return compare(policies, rows)


def replay_cells(table: Table) -> list[tuple[str, ...]]:
    """Return the table's head, then a row a question with the policies' actions."""
    rows = [
        (line.row.id, *(each.action for each in line.decisions)) for line in table.lines
    ]
    return [("question", *table.policies), *rows]


def replay_json(table: Table) -> dict[str, object]:
    """Return the table and its differences as JSON can carry them."""
    return {
        "policies": list(table.policies),
        "questions": [
            {
                "id": line.row.id,
                "decisions": {
                    name: {"action": each.action, "rule": each.rule}
                    for name, each in zip(table.policies, line.decisions, strict=True)
                },
            }
            for line in table.lines
        ],
        "differences": [str(each) for each in table.differences()],
    }


def _is_paid(expert: ExpertSettings) -> bool:
    price = expert.price
    return price is None or price.input_per_mtok > 0 or price.output_per_mtok > 0
