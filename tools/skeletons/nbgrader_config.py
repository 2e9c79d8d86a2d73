"""Settings of this course, which every nbgrader command in this folder reads."""

c = get_config()
c.CourseDirectory.course_id = "free-energy"
c.ClearSolutions.code_stub = {"python": ""}  # what stays is the stub above the solution
c.ClearSolutions.text_stub = "*Your answer.*"
c.Execute.timeout = 300  # seconds a cell
