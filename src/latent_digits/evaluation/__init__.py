"""What the models reach, and the arrays that the figures show."""
