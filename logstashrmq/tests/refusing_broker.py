"""Ways to make RabbitMQ refuse messages: a user with few permissions, and a plugin that refuses messages by content."""

from __future__ import annotations

import json
import re
from typing import Protocol

from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.harness import Queue

EVERYTHING = ".*"
NOTHING = "^$"
# Source of a RabbitMQ plugin that makes the broker refuse messages by exchange and body. For a matching message, the
# plugin crashes or sets an invalid expiration.
PLUGIN = """
-module(refuser).
-behaviour(rabbit_channel_interceptor).
-export([description/0, init/1, intercept/3, applies_to/0]).
description() -> [].
init(_) -> undefined.
applies_to() -> ['basic.publish'].
intercept(Method, none, _) -> {Method, none};
intercept(Method, Content, _) ->
    {Exchange, Body, Code} = persistent_term:get(refuser),
    Matches = fun(Pattern, Text) -> re:run(Text, Pattern) =/= nomatch end,
    case Matches(Exchange, element(3, Method)) andalso Matches(Body, iolist_to_binary(element(6, Content))) of
        true when Code =:= 541 -> exit(refused);
        true -> {Method, expire(rabbit_binary_parser:ensure_content_decoded(Content))};
        false -> {Method, Content}
    end.
expire(Content) -> setelement(3, Content, setelement(9, element(3, Content), <<"never">>)).
"""
LOAD_PLUGIN = """
Forms = [begin {ok, Tokens, _} = erl_scan:string(Text), {ok, Form} = erl_parse:parse_form(Tokens), Form end
         || Text <- FORMS],
{ok, refuser, Code} = compile:forms(Forms),
{module, refuser} = code:load_binary(refuser, "refuser", Code),
rabbit_registry:register(channel_interceptor, <<"refuser">>, refuser)
"""


class ControlledBroker(Protocol):
    """A broker with a function that evaluates an Erlang expression in it."""

    def evaluate(self, expression: str) -> str: ...


class LimitedUser:
    """A user of the broker whose write permissions a test can limit. A new user has all permissions.

    Attributes
    ----------
    settings
        The settings of a relay that logs in as this user.
    """

    name = "limited"

    def __init__(self, broker: ControlledBroker) -> None:
        self._broker = broker
        self.settings = {"AMQP_USER": self.name, "AMQP_PASSWORD": "limited-password"}
        self._call("add_user", self.name, self.settings["AMQP_PASSWORD"], "test")
        self.allow(EVERYTHING)

    def _call(self, function: str, *arguments: str) -> None:
        texts = ", ".join(f'<<"{argument}">>' for argument in arguments)
        self._broker.evaluate(f"rabbit_auth_backend_internal:{function}({texts})")

    def allow(self, exchanges: str) -> None:
        """Allow writing only to exchanges that match the pattern. `amq.default` matches the default exchange."""
        self._call("set_permissions", self.name, "/", NOTHING, exchanges, NOTHING, "test")

    def allow_keys(self, queue: Queue, keys: str) -> None:
        """Limit writing to the queue's exchange to routing keys that match the pattern."""
        self._call("set_topic_permissions", self.name, "/", queue.exchange, keys, NOTHING, "test")

    def delete(self) -> None:
        """Delete the user from the broker."""
        self._call("delete_user", self.name, "test")


class RefusingPlugin:
    """A plugin of the broker that refuses the messages that a test chooses.

    Before the first call of `refuse`, it refuses nothing.
    """

    def __init__(self, broker: RabbitMQ) -> None:
        self._broker = broker
        self.refuse(exchange="no such exchange")
        forms = [json.dumps(form) for form in re.findall(r".+?\.$", PLUGIN, re.MULTILINE | re.DOTALL)]
        broker.evaluate(LOAD_PLUGIN.replace("FORMS", f"[{', '.join(forms)}]"))

    def refuse(self, exchange: str = "", body: str = "", code: int = 406) -> None:
        """Refuse each message whose exchange matches one pattern and whose body matches the other pattern.

        Parameters
        ----------
        code
            Reply code: 406 closes the channel, 541 closes the connection.
        """
        self._broker.evaluate(f'persistent_term:put(refuser, {{<<"{exchange}">>, <<"{body}">>, {code}}})')

    def unload(self) -> None:
        """Remove the plugin from the broker."""
        self._broker.evaluate('rabbit_registry:unregister(channel_interceptor, <<"refuser">>)')
