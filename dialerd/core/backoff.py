"""How long to wait before a broken connection is tried again."""


def backoff(failures: int, random: float) -> float:
    """Seconds to wait after so many failures in a row: 0.25, 0.5, 1, … at most 8, each spread over ±50 %.

    `random` is a draw from [0, 1). The cap keeps recovery below 30 s without anybody's hand (I12).
    """
    base = min(8.0, 0.25 * 2.0 ** min(failures, 10))
    return base * (0.5 + random)
