"""Reports: a notebook as PDF and as a web page, and its figures as files."""
