"""From a stimulus to features: frozen encoders of text, sound and picture, on one 2 Hz grid."""
