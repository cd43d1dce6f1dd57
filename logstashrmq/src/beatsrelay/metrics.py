"""The Prometheus metrics of the relay.

The Grafana dashboard, the alerts and docs/admin use the names of the metrics.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# Reasons why events are not delivered, and reasons why events are published again. The relay creates a series for each
# reason at its start. Prometheus would measure no increase if a series started with its first event, and no alert would
# fire.
UNDELIVERABLE_REASONS = ("malformed", "oversized", "unroutable", "above_broker_limit", "refused")
REPUBLISH_REASONS = ("nacked", "returned", "lost", "refused")
# Reply codes with which RabbitMQ refuses messages. Other codes get a series with their first refusal.
REFUSAL_CODES = ("403", "404", "406", "541")
# Upper bounds of the histograms, in seconds
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """All metrics of the relay, in a separate Prometheus registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._create_event_metrics()
        self._create_connection_metrics()
        self._create_broker_metrics()
        self.loop_lag = self._gauge("loop_lag_seconds", "Delay of the event loop in seconds at the last measurement")

    def _create_event_metrics(self) -> None:
        self.received = self._counter("events_received", "Events that Beats sent")
        self.received_bytes = self._counter("received_bytes", "Uncompressed bytes of the received events")
        self.published = self._counter("events_published", "Messages sent to the broker, including those sent again")
        self.published_again = self._counter("events_published_again", "Messages sent to the broker again", "reason")
        self.confirmed = self._counter("events_confirmed", "Messages that the broker confirmed")
        self.nacked = self._counter("events_nacked", "Messages that the broker refused (nack)")
        self.returned = self._counter("events_returned", "Messages that the broker returned because no queue is bound")
        self.dead_lettered = self._counter("events_dead_lettered", "Events sent to the dead-letter route", "reason")
        self.dropped = self._counter(
            "events_dropped", "Events dropped because no dead-letter route is set, or the broker refuses them", "reason"
        )
        self.in_flight = self._gauge("in_flight_events", "Events received and not confirmed yet")
        self.in_flight_bytes = self._gauge("in_flight_bytes", "Bytes of the events in flight")
        for reason in UNDELIVERABLE_REASONS:
            self.dead_lettered.labels(reason)
            self.dropped.labels(reason)
        for reason in REPUBLISH_REASONS:
            self.published_again.labels(reason)

    def _create_connection_metrics(self) -> None:
        self.windows = self._counter("windows", "Completely acknowledged windows")
        self.keepalives = self._counter("keepalives", "Keep-alives sent to Beats")
        self.connections = self._gauge("connections", "Open connections of Beats")
        self.accepted = self._counter("connections_accepted", "Accepted connections of Beats")
        self.refused = self._counter("connections_refused", "Connections above BEATS_MAX_CONNECTIONS, closed at once")
        self.tls_failures = self._counter("tls_failures", "TLS handshakes that failed", "reason")
        self.peer_errors = self._counter("peer_errors", "Connections closed after an error of the peer", "reason")
        self.waiting = self._gauge("readers_waiting", "Connections that wait for capacity in flight")
        self.window_seconds = self._histogram(
            "window_seconds", "Seconds from the first events of a window to its acknowledgement"
        )
        self.certificates_loaded = self._counter("certificates_loaded", "Reloads of the certificates")
        self.certificates_failed = self._counter("certificates_failed", "Failed reloads of the certificates")

    def _create_broker_metrics(self) -> None:
        self.buffered = self._gauge("broker_buffered_bytes", "Bytes that wait for the broker's socket")
        self.confirm_seconds = self._histogram(
            "confirm_seconds", "Seconds from publishing a batch to each confirm of its messages"
        )
        self.up = self._gauge("broker_up", "1 while a channel to the broker is open, else 0")
        self.refusals = self._counter(
            "broker_refusals", "Channels that the broker closed because of a message, by reply code", "code"
        )
        for code in REFUSAL_CODES:
            self.refusals.labels(code)
        self.blocked = self._gauge("broker_blocked", "1 while the broker blocks publishers, else 0")
        self.connects = self._counter("broker_connects", "Channels opened to the broker")
        self.connect_failures = self._counter("broker_connect_failures", "Attempts to open a channel that failed")

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(f"beatsrelay_{name}", description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str) -> Gauge:
        return Gauge(f"beatsrelay_{name}", description, registry=self.registry)

    def _histogram(self, name: str, description: str) -> Histogram:
        return Histogram(f"beatsrelay_{name}", description, registry=self.registry, buckets=SECONDS)
