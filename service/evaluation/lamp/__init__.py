"""LaMP (Salemi et al., 2023): its tasks, files, prompts, and the methods that need no model.

What LaMP calls a user's `profile` is our history, from `reading` on.
"""
