"""The programs that the doctor runs in pods. Each is one file, needs only the standard library, and prints JSON."""
