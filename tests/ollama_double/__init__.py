"""A test double of the Ollama server that speaks its wire on a real socket."""
