"""Research behind the library: question, code, settings and figures."""
