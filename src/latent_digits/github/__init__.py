"""What CI on GitHub asks of its API, and what it tells a pull request there."""
