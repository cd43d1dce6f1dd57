"""The programs that the sessions in noxfile.py run."""
