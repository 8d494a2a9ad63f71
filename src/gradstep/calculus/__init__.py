"""How is a gradient derived?"""
