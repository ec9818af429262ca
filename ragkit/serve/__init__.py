"""The indexes over HTTP: to clients of Ollama and OpenAI, to browsers, and as JSON of our own."""
