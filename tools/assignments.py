"""`make assignments`: writes the student versions of the assignments into out/release/."""

from __future__ import annotations

import environments
import project


def main() -> None:
    """Releases the assignments that ASSIGNMENT names, or all."""
    environments.CLASSROOM.enter()
    from classroom import course

    chosen = course.chosen()
    course.release(chosen)
    for name in chosen:
        print((course.RELEASE / name / f"{name}.ipynb").relative_to(project.ROOT))


if __name__ == "__main__":
    project.main(main)
