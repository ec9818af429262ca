"""Pure functions over text: scripts, words, sentences, tokens; knows nothing of ragkit's stages."""
