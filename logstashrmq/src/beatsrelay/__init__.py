"""Receive log events from Beats, publish them to RabbitMQ, and acknowledge each event that RabbitMQ has confirmed."""
