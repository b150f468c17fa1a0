"""What is read: texts, tables, and what comes with Python and Babel."""
