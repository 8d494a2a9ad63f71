"""The self-contained page: a network, its derivation and its descent in one file."""
