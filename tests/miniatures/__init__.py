"""Small trees with the exact file names and formats of public datasets: ``NAME.make(folder)`` writes one."""
