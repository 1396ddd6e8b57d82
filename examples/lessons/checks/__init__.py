"""Checks of the exercises: a file for each lesson, a function for each exercise.

A check takes the learner's answer and returns a `Verdict`: whether it passed, and a hint. It never
raises, so that all cells of a lesson run before an exercise is done. No check holds a solution:
answers are held beside the library's own functions, and a known mistake is what these give of
changed inputs. `tests/lessons/` shows that each check passes the right answer and refuses the
wrong ones.
"""
