"""The paper's statements as functions: each returns a frozen record of what it measured on a declared network."""
