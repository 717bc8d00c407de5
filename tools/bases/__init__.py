"""Base models: folders of config, weights and tokenizer, and smaller ones made of them."""
