# Settings of every agent. All of them: deploy/settings/agent.hcl.
farm = [
  "https://kiln-coordinator-0.kiln-coordinator:7447",
  "https://kiln-coordinator-1.kiln-coordinator:7447",
  "https://kiln-coordinator-2.kiln-coordinator:7447",
]
run_directory   = "/var/lib/kiln-agent"
cache_directory = "/var/cache/kiln"
drain_limit     = "1h"
