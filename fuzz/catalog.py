"""What is fuzzed, and which modules of ours are watched while it is: an input that reaches a new branch there is kept."""

TARGETS = {
    "http_answer": ("adapters.net.answer", "adapters.net.content", "adapters.net.document"),
    "expression": ("domain.assertion", "domain.tokens", "domain.operands", "domain.values", "domain.pattern"),
    "health_document": ("adapters.net.document", "domain.health", "domain.judge"),
    "dns_answer": ("adapters.net.names.message", "adapters.net.names.lookup"),
    "proxy_answer": ("adapters.net.proxy",),
    "certificate": ("adapters.net.der",),
    "yaml_file": ("config.yaml",),
    "request": ("adapters.net.wire", "domain.urls"),
    "text": ("domain.text", "domain.readable"),
    "alert": ("domain.wording", "domain.text", "adapters.notifiers.slack", "adapters.notifiers.discord"),
}

# Of one target's corpus.
MOST_FILES = 100
MOST_BYTES = 200_000
