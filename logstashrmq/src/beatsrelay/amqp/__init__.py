"""The RabbitMQ side: AMQP sessions, and publishing each message until RabbitMQ confirms it."""
