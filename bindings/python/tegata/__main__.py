"""`python -m tegata` is the program `tegata`."""

from .program import main

main()
