"""`make grade`: grades notebooks/assignments/submitted/ in a sandbox; results go to out/grading/.

`make feedback` (`--pages`) only writes scores, feedback and pictures again.
"""

from __future__ import annotations

import sys

import environments
import project


def main() -> int:
    """Grades all submissions of the assignments that ASSIGNMENT names, or of all."""
    environments.CLASSROOM.enter()
    from classroom import course, grading, pages

    if "--pages" not in sys.argv:
        return grading.main()
    for name in course.chosen():
        pages.write(name)
    return 0


if __name__ == "__main__":
    project.main(main)
