"""The Lumberjack v2 protocol of Beats: the client and server side of a connection, independent of sockets."""
