"""The hand-written corpus: messages with inline annotation, and the noise that multiplies them."""
