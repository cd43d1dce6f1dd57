"""What the hub does with labs on its own: at its start, after a database loss, and regularly."""
