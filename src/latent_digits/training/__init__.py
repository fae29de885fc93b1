"""One training: the loop, its optimizer, checkpoints, and the processes that it runs on."""
