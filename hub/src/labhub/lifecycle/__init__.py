"""Tasks that keep the database and the running labs consistent: at the hub's start and every 30 seconds."""
