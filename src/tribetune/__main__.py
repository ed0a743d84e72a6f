"""`python -m tribetune` is the command `tribetune`."""

from tribetune.cli.app import main

if __name__ == "__main__":
    main()
