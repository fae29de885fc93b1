"""latent-digits: autoencoders on MNIST as a pipeline that repeats, resumes and explains itself."""

from latent_digits.arithmetic import settle
from latent_digits.starting import start

start()  # before what takes long to import
settle()  # before any library that computes is imported
