"""Tasks that compare the database with the labs' pods, and correct differences: at the hub's start and every 30 s."""
