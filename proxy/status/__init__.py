"""Health and numbers of the data plane, on a listener of their own (`proxy.status`): no key, no name, no value.

`catalogue` says what there is, `numbers` is one process, `peers` the others of this data folder, `exposition` the text
that Prometheus reads, `listener` who answers. A scrape that any process takes shows all of them, by `worker`.
"""
