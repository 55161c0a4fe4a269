"""Settings of nbgrader for these assignments, which are in Rust.

`make assignments` and `make grade` use them, and so do nbgrader's own commands and its formgrader in
this folder.
"""

from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader provides it)

root = Path(__file__).resolve().parent
out = root.parent.parent / "out"
c.CourseDirectory.root = str(root)
c.CourseDirectory.course_id = "mnist_kit"
c.CourseDirectory.release_directory = str(out / "release")
c.CourseDirectory.autograded_directory = str(out / "grading" / "autograded")
c.CourseDirectory.feedback_directory = str(out / "grading" / "feedback")
c.CourseDirectory.db_url = f"sqlite:///{out / 'grading' / 'gradebook.db'}"
# A student has one folder for all assignments; releases have none.
c.CourseDirectory.directory_structure = "{nbgrader_step}/{student_id}/{assignment_id}"

# nbgrader spells "delimiter" as "delimeter". The comments of Rust and of Markdown both contain these
# texts.
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"
c.ClearSolutions.code_stub = {"rust": 'todo!("write your code here")'}
c.ClearSolutions.text_stub = "*Write your answer here.*"
c.ClearHiddenTests.begin_test_delimeter = "// BEGIN HIDDEN TESTS"
c.ClearHiddenTests.end_test_delimeter = "// END HIDDEN TESTS"
