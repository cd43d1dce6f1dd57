"""Programs that the doctor runs in pods. Each is one file of the standard library, and prints one line of JSON."""
