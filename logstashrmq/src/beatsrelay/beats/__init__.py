"""The Beats side of the relay: TCP and TLS connections of Beats, and acknowledgements in the order of the events."""
