"""Folds that keep together what belongs together."""

from collections.abc import Hashable, Sequence

import numpy as np

from ask_expert.confidence.calibration.metrics import Ints


def clusters(*labels: Sequence[Hashable] | None) -> Ints:
    """
    Number the rows so that rows which share any label share a number.

    Args:
        labels: Columns of labels, each as long as the table; None is passed over.
    """
    columns = [each for each in labels if each is not None]
    parent = list(range(len(columns[0]) if columns else 0))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in columns:
        first: dict[Hashable, int] = {}
        for row, label in enumerate(column):
            if label in first:
                parent[root(row)] = root(first[label])
            else:
                first[label] = row
    numbers: dict[int, int] = {}
    return np.array(
        [numbers.setdefault(root(row), len(numbers)) for row in range(len(parent))],
        dtype=np.intp,
    )


def folds(cluster: Ints, count: int, rng: np.random.Generator) -> Ints:
    """
    Deal the rows into folds, cluster by cluster, and return each row's fold.

    Clusters are shuffled, then each goes to the fold with the fewest rows: folds are
    as equal as the clusters let them be. With fewer clusters than `count` there are
    as many folds as clusters.
    """
    sizes = np.bincount(cluster) if len(cluster) else np.zeros(0, dtype=np.intp)
    wanted = max(1, min(count, len(sizes)))
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of = np.zeros(len(sizes), dtype=np.intp)
    filled = [0] * wanted
    for each in order:
        place = filled.index(min(filled))
        fold_of[each] = place
        filled[place] += int(sizes[each])
    return fold_of[cluster]
