"""Numbers of things in words: ``"1 row"``, ``"2 rows"``."""


def counted(n: int, noun: str, *, verb: str = "") -> str:
    """Return a number with its noun in the singular or plural.

    Parameters
    ----------
    n
        The number.
    noun
        The noun in the singular, whose plural ends with ``s``.
    verb
        ``"is"`` or ``"has"``, which follows in the same number.
    """
    plural = "" if n == 1 else "s"
    follows = (
        f" {verb if n == 1 else {'is': 'are', 'has': 'have'}[verb]}" if verb else ""
    )
    return f"{n} {noun}{plural}{follows}"
