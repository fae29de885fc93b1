"""The report's figures: each states its inputs, drawing, caption and alternative text at once."""
