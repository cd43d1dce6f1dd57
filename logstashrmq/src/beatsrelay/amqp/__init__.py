"""The RabbitMQ side of the relay: AMQP sessions, and a publisher that repeats messages until RabbitMQ confirms them."""
