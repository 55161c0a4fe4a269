"""`make check-assignments`: proves that each assignment is ready to be handed out.

Every released stub compiles and earns nothing; every solution earns all points in a minute, is
formatted, and passes clippy; the student version shows no solution, hidden test or rubric.
"""

from __future__ import annotations

import environments
import project


def main() -> int:
    """Checks the assignments that ASSIGNMENT names, or all."""
    environments.CLASSROOM.enter()
    from classroom import course, verify

    problems = verify.verify(course.chosen())
    print("\n".join(problems) or "The assignments are ready.")
    return 1 if problems else 0


if __name__ == "__main__":
    project.main(main)
