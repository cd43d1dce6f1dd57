"""What is counted. The names are in docs/admin/forwarder.md and in the Grafana dashboard."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

# Why events are given up, or sent once more. All are there from the start: of a series that begins with the first event
# Prometheus sees no increase, and no alert comes of it.
BURIED = ("malformed", "oversized", "unroutable", "above_broker_limit")
AGAIN = ("nacked", "returned", "lost")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"beatsrelay_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"beatsrelay_{name}", text, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"beatsrelay_{name}", text, registry=registry, buckets=SECONDS)

        self.received = counter("events_received", "Events that Beats sent")
        self.received_bytes = counter("received_bytes", "Bytes of those events, inflated")
        self.published = counter("events_published", "Messages sent to the broker, those sent again included")
        self.published_again = counter("events_published_again", "Messages sent to the broker once more", "reason")
        self.confirmed = counter("events_confirmed", "Messages that the broker confirmed")
        self.nacked = counter("events_nacked", "Messages that the broker refused")
        self.returned = counter("events_returned", "Messages that no queue took")
        self.dead_lettered = counter("events_dead_lettered", "Events sent to the dead-letter route", "reason")
        self.dropped = counter("events_dropped", "Events dropped for want of a dead-letter route", "reason")
        for counted, reasons in ((self.dead_lettered, BURIED), (self.dropped, BURIED), (self.published_again, AGAIN)):
            for reason in reasons:
                counted.labels(reason)
        self.windows = counter("windows", "Windows acknowledged whole")
        self.keepalives = counter("keepalives", "Acknowledgements that only say: still at it")
        self.connections = gauge("connections", "Open connections of Beats")
        self.accepted = counter("connections_accepted", "Connections of Beats so far")
        self.refused = counter("connections_refused", "Connections closed at once, above the limit")
        self.tls_failures = counter("tls_failures", "TLS handshakes that failed", "reason")
        self.peer_errors = counter("peer_errors", "Connections closed for what the peer did", "reason")
        self.in_flight = gauge("in_flight_events", "Events taken and not confirmed")
        self.in_flight_bytes = gauge("in_flight_bytes", "Their bytes")
        self.waiting = gauge("readers_waiting", "Connections not read from until there is room")
        self.buffered = gauge("broker_buffered_bytes", "Bytes that wait for the broker's socket")
        self.confirm_seconds = histogram("confirm_seconds", "From a batch's publish to its last confirm")
        self.window_seconds = histogram("window_seconds", "From a window's first events to its acknowledgement")
        self.up = gauge("broker_up", "1 with a channel to the broker, else 0")
        self.blocked = gauge("broker_blocked", "1 while the broker asks to publish nothing")
        self.connects = counter("broker_connects", "Channels opened to the broker")
        self.connect_failures = counter("broker_connect_failures", "Attempts that failed")
        self.loop_lag = gauge("loop_lag_seconds", "By how much the event loop was late just now")
        self.certificates_loaded = counter("certificates_loaded", "Times that the certificates were read")
        self.certificates_failed = counter("certificates_failed", "Times that new certificates were of no use")
