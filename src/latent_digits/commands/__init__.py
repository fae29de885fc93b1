"""What a person starts, beside the stages: `python -m latent_digits.commands.NAME`."""
