"""What does the local app do? It serves its page on 127.0.0.1, and works in processes of their own."""
