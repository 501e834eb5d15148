"""Model name -> ordered targets, and the table that turns verdicts into actions."""
