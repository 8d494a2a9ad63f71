"""How is it read and written?"""
