"""The process that speaks OTLP with a collector: lines come in, spans, logs and numbers go out. No value gets here."""
