"""The networks, their initial weights and stored ones, and what they are asked to do."""
