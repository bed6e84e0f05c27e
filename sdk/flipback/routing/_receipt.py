"""Signed receipts: a late outcome names its decision, never its user."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from flipback.assignment import Assignment, Role
from flipback.histogram import Threshold, Thresholds
from flipback.ports import Clock


LIFETIME = timedelta(days=90)
_PREFIX = "fb1"
_MAC_BYTES = 16
_NOTHING_FROZEN: Thresholds = {}
_TIMELESS = (0.0, _NOTHING_FROZEN)
_FIELDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a receipt says once its signature has been checked.

    Attributes:
        settled: Metrics that were booked when the call ended; not accepted again.
        expires_at: Unix seconds.
        at: When it was decided, Unix seconds; 0 if no outcome was delayed then, and in
            a receipt of the first version, whose delayed outcomes are too late.
        thresholds: Frozen percentiles of the decision's epoch, of what may still come.
    """

    route: str
    decision_id: str
    variant: str
    role: Role
    epoch: str
    attempt: int
    rule: str
    randomized: bool
    cohorts: tuple[str, ...]
    subject: int
    settled: frozenset[str]
    expires_at: float
    at: float
    thresholds: Thresholds


class Keyring:
    """Signs receipts and hashes subjects with keys derived from one secret.

    A hash without a key is no protection: whoever can guess an e-mail address
    can hash it.
    """

    def __init__(self, secret: Callable[[], bytes], clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._known_sign_key: bytes | None = None
        self._known_hasher: blake2b | None = None

    # Kept without a lock: to compute them twice is harmless, and a lock that is
    # held while a process forks is held in the child for ever.
    def _sign_key(self) -> bytes:
        if self._known_sign_key is None:
            self._known_sign_key = self._derived(b"receipt:")
        return self._known_sign_key

    def _hasher(self) -> blake2b:
        if self._known_hasher is None:
            self._known_hasher = blake2b(digest_size=8, key=self._derived(b"subject:"))
        return self._known_hasher

    def _derived(self, purpose: bytes) -> bytes:
        return hashlib.sha256(purpose + self._secret()).digest()

    def subject(self, unit: str) -> int:
        """Return the keyed 64-bit hash of a randomisation key."""
        hasher = self._hasher().copy()
        hasher.update(unit.encode(errors="surrogatepass"))
        return int.from_bytes(hasher.digest(), "big")

    def issue(
        self,
        route: str,
        assignment: Assignment,
        settled: Collection[str],
        thresholds: Thresholds = _NOTHING_FROZEN,
    ) -> str:
        """Return a receipt: URL-safe text that can be stored or sent in a header.

        Args:
            route: The route that was called.
            assignment: The decision.
            settled: Metrics that the call itself brings.
            thresholds: Frozen percentiles of the decision's epoch.
        """
        expires_at = int((self._clock.now() + LIFETIME).timestamp())
        body = json.dumps(
            [
                route,
                assignment.decision_id,
                assignment.variant,
                assignment.role,
                assignment.epoch,
                assignment.attempt,
                assignment.rule or "",
                assignment.randomized,
                assignment.cohorts,
                assignment.subject,
                sorted(settled),
                expires_at,
                assignment.at,
                {m: frozen for m, frozen in thresholds.items() if m not in settled},
            ],
            separators=(",", ":"),
        ).encode()
        return f"{_PREFIX}.{_encode(body)}.{_encode(self._mac(body))}"

    def open(self, receipt: str) -> Ticket:
        """Return what a receipt says.

        Raises:
            ValueError: It is malformed, signed by another secret, or expired.
        """
        body = self._checked(receipt)
        fields = json.loads(body)
        at, frozen = fields[_FIELDS : _FIELDS + 2] or _TIMELESS
        ticket = Ticket(
            route=fields[0],
            decision_id=fields[1],
            variant=fields[2],
            role=Role(fields[3]),
            epoch=fields[4],
            attempt=fields[5],
            rule=fields[6],
            randomized=fields[7],
            cohorts=tuple(fields[8]),
            subject=fields[9],
            settled=frozenset(fields[10]),
            expires_at=fields[11],
            at=at,
            thresholds=_thresholds(frozen),
        )
        if ticket.expires_at < self._clock.now().timestamp():
            raise ValueError("the receipt has expired")
        return ticket

    def _checked(self, receipt: str) -> bytes:
        prefix, _, rest = receipt.partition(".")
        text, _, mac = rest.partition(".")
        if prefix != _PREFIX:
            raise ValueError("this is no receipt of flipback")
        try:
            body, signature = _decode(text), _decode(mac)
        except (binascii.Error, ValueError) as error:
            raise ValueError("the receipt is damaged") from error
        if not hmac.compare_digest(signature, self._mac(body)):
            raise ValueError(
                "the receipt is damaged or was signed with another secret; "
                "give all processes the same FLIPBACK_SECRET or the same store"
            )
        return body

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._sign_key(), body, "sha256")[:_MAC_BYTES]


def _thresholds(written: Mapping[str, tuple[float, float]]) -> Thresholds:
    return {metric: Threshold(*frozen) for metric, frozen in written.items()}


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
