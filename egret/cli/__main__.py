"""The command line: `egret`."""
