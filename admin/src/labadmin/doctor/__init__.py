"""The command `labadmin doctor`, which finds the problems of a deployment and prints a fix for each."""
