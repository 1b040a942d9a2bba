"""The MCP face: three tools, over standard input and output or over HTTP."""
