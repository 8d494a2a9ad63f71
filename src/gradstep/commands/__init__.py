"""What can be typed in a terminal? One module a command; each loads only when it is called."""
