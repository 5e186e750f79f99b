"""Change a code and put the edited face back into its photograph."""
