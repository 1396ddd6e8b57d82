"""Solutions, a file for each lesson: one right answer to each exercise, and what to see in it.

Whoever opens one before trying has read a solution, not solved an exercise.
"""
