"""The figures of the papers, one module each: what is drawn, and its numbers."""
