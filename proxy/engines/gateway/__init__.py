"""The gateway: browsers reach upstreams through a URL, because they have neither our proxy nor our CA."""
