"""What is an expression?"""
