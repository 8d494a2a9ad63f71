# For those who type make. The work is in dev.py, which needs nothing but Python.
PYTHON ?= python3
.PHONY: demo test setup lint docs

demo test setup lint docs:
	@$(PYTHON) dev.py $@
