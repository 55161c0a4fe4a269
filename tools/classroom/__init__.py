"""Assignments: student versions, sandboxed grading, feedback."""
