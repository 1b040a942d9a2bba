"""
Answers that are Python code: the same when they behave the same on visible tests.

Where no test is at hand, the same when they read the same once comments, docstrings,
annotations and layout are gone.
"""

import ast
import re
import warnings
from collections.abc import Callable, Sequence

from ask_expert.confidence.answers.final import without_thoughts

Passes = Callable[[str, str], bool]
"""Runs code and one test statement, in a sandbox; returns whether it came through."""

_BLOCK = re.compile(
    r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
_MOST_CHARS = 100_000


def has_block(reply: str) -> bool:
    """Return whether a reply holds a fenced block."""
    return _BLOCK.search(without_thoughts(reply)) is not None


def source(reply: str) -> str | None:
    """Return the code of a reply, its longest fenced block; None when it is no Python."""
    text = without_thoughts(reply)
    blocks = [each for each in _BLOCK.findall(text) if each.strip()]
    code = max(blocks, key=len) if blocks else text
    return code if _parsed(code) is not None else None


def key(reply: str) -> str | None:
    """Return what two codes share that read the same; None when it is no code."""
    code = source(reply)
    tree = None if code is None else _parsed(code)
    if tree is None or not tree.body:
        return None
    try:
        return ast.unparse(_Plain().visit(tree))
    except RecursionError:
        return code


def by_behaviour(passes: Passes, tests: Sequence[str]) -> Callable[[str], str | None]:
    """
    Return a key that two codes share that pass and fail the same tests.

    Args:
        passes: It blocks; call the key from a worker thread.
        tests: Statements such as `assert f(1) == 2`, visible to the model.
    """

    def behaviour(reply: str) -> str | None:
        code = source(reply)
        if code is None:
            return None
        return "".join("+" if passes(code, test) else "-" for test in tests)

    return behaviour


def _parsed(code: str) -> ast.Module | None:
    if len(code) > _MOST_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the code that is read, not of ours
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Plain(ast.NodeTransformer):
    """Takes docstrings and annotations out of a tree."""

    def visit(self, node: ast.AST) -> ast.AST:
        node = super().generic_visit(node)
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
        ):
            node.body = [each for each in node.body if not _is_text(each)] or [
                ast.Pass()
            ]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            plain = ast.Assign(targets=[node.target], value=node.value)
            return ast.copy_location(plain, node)
        return node


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
