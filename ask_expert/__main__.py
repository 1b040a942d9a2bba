"""`python -m ask_expert` is `ask-expert`."""

from ask_expert.cli import main

if __name__ == "__main__":
    main()
