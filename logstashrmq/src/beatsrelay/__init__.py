"""Takes log events from Beats and acknowledges each one when RabbitMQ has confirmed it."""
