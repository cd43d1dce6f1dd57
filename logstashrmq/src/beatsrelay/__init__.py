"""A relay from Beats to RabbitMQ, which acknowledges each log event that RabbitMQ has confirmed."""
