"""Lumberjack v2, the protocol of Beats: both sides of a connection, without sockets."""
