"""How is a program run at the speed of memory? As machine code, written for it and compiled by LLVM."""
