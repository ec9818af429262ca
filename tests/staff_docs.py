"""A small index to talk about: three documents, a question, and one that leans on it."""

from __future__ import annotations

STAFF = "The notice period for permanent staff is three months."
LEARNERS = "The notice period for apprentices is four weeks."
FILES = {
    "staff.md": f"# Staff\n\n{STAFF}\n",
    "apprentices.md": f"# Apprentices\n\n{LEARNERS}\n",
    "kitchen.md": "# Kitchen\n\nThe kitchen opens at noon and closes at two.\n",
}
FIRST = "How long is the notice period for permanent staff?"
COMPLETED = "How long is the notice period for apprentices?"
