"""
Monte-Carlo tree search over partial solutions.

A node is a beginning of an answer. Each visit lets the model go on from one to the
end; what the check (or P(True)) says of that end is what the beginning, and all
before it, are worth. UCT (Kocsis and Szepesvári, 2006) says where to go on from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ask_expert.errors import LocalModelError, MissingToolError
from ask_expert.local.answered import Sample
from ask_expert.local.strategies.work import Checked, Meter, Seat, Solved, Work, request
from ask_expert.question import Turn


@dataclass(slots=True, eq=False)
class Node:
    """
    A beginning of an answer.

    Attributes:
        prefix: The text.
        parent: The shorter beginning that it goes on from.
        is_end: Nothing follows it.
        children: Longer beginnings.
        visits: How often it was on the way.
        worth: Sum of what the ends were worth.
    """

    prefix: str
    parent: "Node | None" = None
    is_end: bool = False
    children: "list[Node]" = field(default_factory=lambda: list[Node]())  # noqa: PLW0108  # the class has no name yet
    visits: int = 0
    worth: float = 0.0

    def uct(self, explore: float) -> float:
        """Return its mean worth, and more the less it was looked at."""
        if not self.visits or self.parent is None:
            return math.inf
        mean = self.worth / self.visits
        return mean + explore * math.sqrt(math.log(self.parent.visits) / self.visits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """
    The best end found by a tree search.

    Attributes:
        nodes: Most nodes of the tree.
        width: Most children of one node, and how many ends are asked for at a time.
        step_lines: Lines by which a child is longer than its parent.
        explore: Weight of what was seldom looked at.
    """

    nodes: int = 16
    width: int = 4
    step_lines: int = 3
    explore: float = 0.7
    name: str = "search"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return the first end that passes, else the one that is worth most.

        Raises:
            MissingToolError: Neither a check nor P(True) is there.
        """
        if work.check is None and work.judge is None:
            raise MissingToolError("A search needs a check, or P(True).")
        root = Node("")
        best: tuple[float, str, Checked | None] | None = None
        count = 1
        for _ in range(self.nodes):
            if best and (meter.is_used_up or count >= self.nodes or _is_right(best[2])):
                break
            leaf = self.chosen(root)
            try:
                ends = await self._ends(seat, work, meter, leaf, count)
            except LocalModelError:
                if best is None:
                    raise
                break  # what was found so far is still an answer
            for sample in ends:
                text = joined(leaf.prefix, sample.text)
                worth, checked = await _worth(work, meter, text)
                count += grown(leaf, text, worth, step_lines=self.step_lines)
                if best is None or worth > best[0]:
                    best = (worth, text, checked)
                if _is_right(checked):
                    break
        if best is None:
            raise MissingToolError("A search of 0 nodes finds nothing.")
        worth, text, checked = best
        return Solved(
            text=text,
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=checked,
            score=worth,
            why=f"{count} nodes, {meter.answers} ends",
        )

    def chosen(self, root: Node) -> Node:
        """Return the node to go on from: the first on the best way that may grow."""
        node = root
        while len(node.children) >= self.width:
            open_ = [each for each in node.children if not each.is_end]
            if not open_:
                return node
            node = max(open_, key=lambda each: each.uct(self.explore))
        return node

    async def _ends(
        self, seat: Seat, work: Work, meter: Meter, leaf: Node, count: int
    ) -> Sequence[Sample]:
        """Let the model go on from a beginning to the end, several times."""
        asked = replace(
            request(work, n=self.width if leaf.parent is None else 2),
            seed=work.seed + 100 * count,
        )
        if leaf.prefix:
            turn = Turn(role="assistant", text=leaf.prefix)
            asked = replace(asked, turns=(*work.turns, turn), continues=True)
        return (await meter.ask(seat, asked)).samples


def joined(prefix: str, text: str) -> str:
    """Return beginning and end; some servers repeat the beginning, some do not."""
    return text if prefix and text.startswith(prefix) else prefix + text


def grown(leaf: Node, text: str, worth: float, *, step_lines: int) -> int:
    """Put one end into the tree, count it on its way, and return the new nodes."""
    rest = text[len(leaf.prefix) :].splitlines(keepends=True)
    prefix = leaf.prefix + "".join(rest[:step_lines])
    known = next((each for each in leaf.children if each.prefix == prefix), None)
    child = known or Node(prefix, leaf, is_end=len(rest) <= step_lines)
    if known is None:
        leaf.children.append(child)
    node: Node | None = child
    while node is not None:
        node.visits += 1
        node.worth += worth
        node = node.parent
    return int(known is None)


def _is_right(checked: Checked | None) -> bool:
    return checked is not None and checked.passed


async def _worth(work: Work, meter: Meter, text: str) -> tuple[float, Checked | None]:
    if work.check is not None:
        checked = await work.check(text)
        return checked.share, checked
    if work.judge is None:
        return 0.0, None
    judged = await work.judge(text)
    meter.add(judged.tokens)
    return judged.p_true or 0.0, None
