"""The RabbitMQ side: one AMQP session, and publishing until the broker has confirmed."""
