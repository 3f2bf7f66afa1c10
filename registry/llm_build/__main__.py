"""`python -m llm_build`: the command line."""

from llm_build.cli import main

main()
