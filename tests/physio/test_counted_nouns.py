"""Numbers of things agree with their nouns and verbs."""

import pytest

from physio.core.counted_nouns import counted


@pytest.mark.parametrize(
    ("n", "verb", "text"),
    [
        (0, "", "0 rows"), (1, "", "1 row"), (2, "", "2 rows"),
        (1, "is", "1 row is"), (3, "is", "3 rows are"), (2, "has", "2 rows have"),
    ],
)  # fmt: skip
def test_a_noun_follows_its_number(n: int, verb: str, text: str) -> None:
    assert counted(n, "row", verb=verb) == text
