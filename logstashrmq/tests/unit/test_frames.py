"""Tests of AMQP frames: the relay's encoder and pika's own encoder create the same bytes."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from beatsrelay.amqp.frames import TESTED_VERSIONS, BatchWriter, encode_blocks
from beatsrelay.amqp.messages import Batch, PendingConfirmation, format_message_id
from beatsrelay.routing import Route
from pika import BasicProperties
from pika.frame import Body, Header, Method
from pika.spec import Basic

from logstashrmq.tests.harness import install_pika_metadata


@pytest.mark.parametrize("size", [0, 1, 599, 131_064, 131_065, 400_000])
@pytest.mark.parametrize("key", ["logs", "", "ü" * 100])
def test_frames_equal_those_of_pika(size: int, key: str) -> None:
    bodies = [b"a" * size, b"{}", b"b" * size]
    batch = Batch(PendingConfirmation(3, lambda: None), Route("x", key), bodies, range(7, 10))
    expected = b""
    body_max = 131_072 - 8
    for body, number in zip(batch.bodies, batch.numbers, strict=True):
        properties = BasicProperties("application/json", delivery_mode=2, message_id=format_message_id(number))
        expected += Method(1, Basic.Publish(0, "x", key, True)).marshal()
        expected += Header(1, len(body), properties).marshal()
        expected += b"".join(Body(1, body[i : i + body_max]).marshal() for i in range(0, len(body), body_max))
    assert b"".join(encode_blocks(batch, 1, body_max)) == expected


def test_locked_version_of_pika_is_a_tested_one() -> None:
    assert metadata.version("pika") in TESTED_VERSIONS
    assert BatchWriter().bypasses_pika


def test_untested_version_of_pika_is_not_bypassed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_pika_metadata(tmp_path, "99.0")
    monkeypatch.syspath_prepend(tmp_path)
    assert not BatchWriter().bypasses_pika
