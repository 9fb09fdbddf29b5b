-- Filled in by the branch that needs it.
SELECT 1;
