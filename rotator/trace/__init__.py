"""The transform trace: what happened to each request, pass by pass, in files of one JSON object a line."""
