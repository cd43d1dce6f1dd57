"""The Beats side: TCP and TLS connections of Beats, and their acknowledgements in order."""
