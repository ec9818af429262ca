"""Model backends: Ollama over HTTP, embedded models in-process."""
