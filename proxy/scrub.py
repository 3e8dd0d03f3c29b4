"""The way back: values become placeholders again, streaming."""
