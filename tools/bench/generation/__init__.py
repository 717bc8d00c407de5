"""Generation beside llama.cpp and onnxruntime-genai: ``make bench-generation``."""
