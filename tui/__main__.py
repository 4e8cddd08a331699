"""`python -m tui`, the command `negspace` where no script of that name is installed."""

from tui.main import main

if __name__ == "__main__":
    main()
