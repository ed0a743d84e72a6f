"""The encoder itself: trunk, readouts, checkpoint files and the LightningModule that trains it."""
