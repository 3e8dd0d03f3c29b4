"""`egret demo`: one round trip on loopback, all of it real, shown from four sides."""
