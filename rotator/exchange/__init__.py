"""One request's trip: the plan, the attempts, the stream that is shown to the client."""
