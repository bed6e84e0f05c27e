"""How long to wait before trying again."""

import hashlib


_FIRST_S = 0.25
_LONGEST_S = 10.0


def pause_s(whose: str, tries: int) -> float:
    """Return how long to wait before the next attempt, in seconds.

    It doubles up to ten seconds; between half of that and all of it is drawn from
    the name of who asks, so that processes do not all come back at once.
    """
    longest = min(_FIRST_S * 2.0 ** min(tries, 16), _LONGEST_S)
    drawn = hashlib.sha256(f"{whose} {tries}".encode()).digest()[:4]
    share = int.from_bytes(drawn) / 2**32
    return longest / 2 * (1 + share)
