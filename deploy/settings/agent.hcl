# Settings of an agent. All may be left out if the command line says which farm; flags count more than the file. What is commented
# out shows the default, or an example where there is none. `kiln agent -settings FILE -check` tells everything that is wrong.

# The coordinators; any of them will do at any time.
farm = ["https://a.example.org:7447", "https://b.example.org:7447", "https://c.example.org:7447"]

# Holds the token to join with; KILN_TOKEN does if there is none. Needed once: the file may be removed afterwards.
token_file = "/etc/kiln/join-token"

# What people call this agent; the machine's name if there is none.
# name = "host-1"

# How many tasks it takes at once; half the processors if not given.
# slots = 4

# What tasks may ask for.
# labels {
#   zone = "b"
# }

# What to share out among guests; all of the machine if not given.
# cpus   = 16
# memory = "64GiB"

# Where the agent and its attempts keep their files; at most 51 bytes long.
run_directory = "/var/lib/kiln-agent"

# Where downloads are kept, and how many bytes of them while nobody uses them.
cache_directory = "/var/cache/kiln"
# cache_limit   = "100GiB"

# How long a drain waits for what runs.
# drain_limit = "1h"

# Whether attempts are kept apart, as root on Linux: a network and a control group each.
# isolation = true
