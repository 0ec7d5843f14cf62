"""Programs that write files of this repository from their source; `--check` compares instead."""
