"""What lies between the stages: files, sets of images, and what a killed stage goes on from."""
