"""Log events: exposures and outcomes on request, flips and kills always."""

import logging
from importlib.metadata import version

from opentelemetry._logs import SeverityNumber, get_logger

from flipback import semconv
from flipback.assignment import Assignment
from flipback.config import Events, TelemetrySettings
from flipback.latch import Latch
from flipback.telemetry._attributes import AttributeValue, common
from flipback.verdict import Finding


_log = logging.getLogger("flipback")


class EventLog:
    """Emits through the OpenTelemetry logs API; without an SDK nothing happens.

    An exporter that raises is felt by whoever logs an exposure or an outcome,
    and by nobody who flips: a kill must go on.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self.per_call = settings.events is Events.ALL
        self._logger = get_logger(
            "flipback", version("flipback"), schema_url=semconv.SCHEMA_URL
        )

    def exposure(self, route: str, assignment: Assignment) -> None:
        """Say that a subject met a variant."""
        attributes = common(route, assignment)
        attributes[semconv.DECISION_ID] = assignment.decision_id
        self._emit(semconv.EVENT_EXPOSURE, attributes)

    def outcome(self, route: str, decision_id: str, metric: str, value: float) -> None:
        """Say that a decision got an outcome, now or late."""
        self._emit(
            semconv.EVENT_OUTCOME,
            {
                semconv.ROUTE: route,
                semconv.DECISION_ID: decision_id,
                semconv.METRIC: metric,
                semconv.VALUE: value,
            },
        )

    def verdict(self, route: str, finding: Finding) -> None:
        """Say that a guardrail was proven to be broken; never raises."""
        self._try_emit(
            semconv.EVENT_VERDICT,
            {
                semconv.ROUTE: route,
                semconv.METRIC: finding.metric,
                semconv.COHORT: finding.cohort,
                semconv.VERDICT: finding.verdict.value,
                semconv.LOG_E: finding.log_e,
            },
            severity=SeverityNumber.WARN,
        )

    def freeze(self, route: str, why: str) -> None:
        """Say that the data of a route cannot be trusted; never raises."""
        self._try_emit(
            semconv.EVENT_FREEZE,
            {semconv.ROUTE: route, semconv.WHY: why},
            severity=SeverityNumber.WARN,
        )

    def flip(self, flag: str, control: str, latch: Latch, *, automatic: bool) -> None:
        """Say that a route went back to control; never raises."""
        self._try_emit(
            semconv.EVENT_FLIP if automatic else semconv.EVENT_KILL,
            {
                semconv.ROUTE: latch.route,
                semconv.FLAG_KEY: flag,
                semconv.FLAG_VARIANT: control,
                semconv.TRIP: latch.trip,
                semconv.ACTOR: latch.actor,
                semconv.WHY: latch.reason,
            },
            severity=SeverityNumber.ERROR,
        )

    def _try_emit(
        self,
        name: str,
        attributes: dict[str, AttributeValue],
        *,
        severity: SeverityNumber,
    ) -> None:
        try:
            self._emit(name, attributes, severity)
        except Exception as error:  # noqa: BLE001 - a flip matters more than its event
            _log.warning("event %s was not emitted: %s", name, type(error).__name__)

    def _emit(
        self,
        name: str,
        attributes: dict[str, AttributeValue],
        severity: SeverityNumber = SeverityNumber.INFO,
    ) -> None:
        self._logger.emit(
            event_name=name, severity_number=severity, attributes=attributes
        )
