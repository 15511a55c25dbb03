# Settings of every coordinator; @NAME@ is the pod's name. All of them: deploy/settings/coordinator.hcl.
directory = "/var/lib/kiln"
address   = "https://@NAME@.kiln-coordinator:7447"
others = [
  "https://kiln-coordinator-0.kiln-coordinator:7447",
  "https://kiln-coordinator-1.kiln-coordinator:7447",
  "https://kiln-coordinator-2.kiln-coordinator:7447",
]

http {
  listen = "0.0.0.0:7448"
}

s3 {
  bucket    = "images"
  region    = "eu-central-1"
  keys_file = "/etc/kiln/store/keys"
}
