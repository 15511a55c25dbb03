# A build that needs no guest: it only shows that the farm works.
source "null" "greeter" {
  communicator = "none"
}

build {
  sources = ["source.null.greeter"]

  provisioner "shell-local" {
    inline = ["echo hello from $PACKER_BUILD_NAME on $(uname -n)"]
  }
}
