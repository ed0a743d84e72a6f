"""What the subject saw, heard and read: media files and words, in order of time."""
