"""Durable rows; knows no plaintext and no caller."""
