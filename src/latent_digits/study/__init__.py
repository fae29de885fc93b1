"""The trainings of the stages: which there are, how each is fitted, and under what noise."""
