"""The report: its figures, its text, and the numbers that were published before."""
