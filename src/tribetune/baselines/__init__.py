"""What an adapter must beat: linear encoding models on the same features and the same split."""
