"""`dial reproduce`: a plan from nothing to the tables, its steps, their execution, and the page that they end in."""
