"""`python -m gradproof`: the command line."""

from gradproof.cli import main

if __name__ == "__main__":
    main()
