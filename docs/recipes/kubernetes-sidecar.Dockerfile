# The image of the two containers beside the code: Egret's, and nft. docs/recipes/kubernetes.md, As a sidecar.
FROM egret
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends nftables && rm -rf /var/lib/apt/lists/*
USER 10001
