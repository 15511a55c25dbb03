# Settings of a coordinator. Only directory and address are needed; what is commented out shows the default, or an example where
# there is none. `kiln coordinator -settings FILE -check` tells everything that is wrong with it.

# Where the ledger, the keys and the audit lie. Only this coordinator may use it.
directory = "/var/lib/kiln"

# Where agents, people and the other coordinators reach this one.
address = "https://a.example.org:7447"

# Where it listens: gRPC, and HTTP/1.1 with the JSON API, all by TLS. All interfaces, on the port of address, if not given.
# listen = "0.0.0.0:7447"

# The other coordinators, for one that joins or moves.
# others = ["https://b.example.org:7447", "https://c.example.org:7447"]

# How long builds, their logs and their plans are remembered after their end.
# keep = "168h"

# The most memory for events that wait for readers.
# event_memory = "128MiB"

# How long a submission waits for the first agent when there is none.
# agent_patience = "1m"

# How long a task waits that no agent could take even if it were idle; then it fails.
# placement_patience = "1h"

# The most that one attempt may take, and how long it may show no progress, unless the task says otherwise.
# deadline    = "4h"
# no_progress = "30m"

# How long the certificates of agents and coordinators are good; they are renewed when a third of that is left.
# agent_certificates       = "24h"
# coordinator_certificates = "720h"

# The object store: one of objects, s3, gcs and azure; a directory beside the ledger if there is none. Several coordinators need one
# that all of them share.
# objects = "/mnt/kiln"

s3 {
  bucket = "images" # must exist

  # A folder in the bucket.
  # prefix = "kiln"

  region = "eu-central-1"

  # For others than Amazon.
  # endpoint = "https://s3.example.org"

  # Two lines: key, secret. Without it the environment and the machine's role count.
  # keys_file = "/etc/kiln/s3.keys"

  # Whether http:// will do.
  # allow_http = false

  # For stores that refuse SHA-256 headers in links.
  # unchecked = false
}

# gcs {
#   bucket          = "images"
#   prefix          = "kiln"
#   service_account = "/etc/kiln/gcs.json" # without it the environment and the machine's account count
#   endpoint        = "https://storage.example.org"
# }

# azure {
#   account    = "images"
#   container  = "kiln"
#   prefix     = "farm"
#   key_file   = "/etc/kiln/azure.key" # without it the environment counts
#   endpoint   = "https://blob.example.org"
#   allow_http = false
# }

# What is answered without TLS: health, figures for Prometheus, and the objects of a directory by signed links.
http {
  listen = "127.0.0.1:7448"

  # Where agents and people reach it: then the objects of a directory go this way, otherwise by TLS through the port above.
  # address = "http://a.example.org:7448"
}

# Traces of builds, for a collector of OpenTelemetry (OTLP over HTTP). Without the block none are made.
# telemetry {
#   otlp         = "http://127.0.0.1:4318"
#   headers_file = "/etc/kiln/otlp.headers" # lines such as `Authorization: Bearer …`
# }
