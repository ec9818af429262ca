"""An index that a server of ragkit has, as if it lay here."""
