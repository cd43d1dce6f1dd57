"""The Beats side: TCP and TLS connections of Beats, and acknowledgements in order."""
