"""Lumberjack v2, the protocol of Beats, without a socket: both sides of it."""
