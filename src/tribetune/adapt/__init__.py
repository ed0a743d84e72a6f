"""The methods that adapt a pretrained TRIBE to one subject, from none at all to LoRA."""
