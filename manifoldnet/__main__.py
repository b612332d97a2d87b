"""`python -m manifoldnet` is the command `manifoldnet`."""

from manifoldnet.cli.main import main

if __name__ == "__main__":
    main()
