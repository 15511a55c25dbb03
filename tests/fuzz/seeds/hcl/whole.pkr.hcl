packer {
  required_version = ">= 1.7.0, < 2.0.0"
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = "~> 1"
    }
  }
}
variable "name" {
  type        = string
  default     = env("HOME")
  description = "what it is called"
  validation {
    condition     = length(var.name) > 2 && can(regex("^[a-z/]+$", var.name))
    error_message = "Too short."
  }
}
data "http" "page" {
  url             = "http://example.invalid/${var.name}"
  request_headers = { Accept = "text/plain" }
}
locals {
  parts = split("/", var.name)
  body  = data.http.page.body
  by    = { for i, p in local.parts : p => i... if p != "" }
  sum   = 1 + 2 * 3 % 4 - -5 / 6
}
local "secret" {
  expression = join("-", [for p in local.parts : upper(p)])
  sensitive  = true
}
source "null" "a" {
  communicator = "none"
  dynamic "thing" {
    for_each = toset(local.parts)
    iterator = it
    content {
      key   = it.key
      value = "${it.value}-%{ if it.key == "x" }yes%{ else }no%{ endif }"
    }
  }
}
build {
  name    = "b"
  sources = ["source.null.a"]
  source "null.a" {
    name = "other"
    port = 22
  }
  provisioner "shell-local" {
    only            = ["null.a"]
    inline          = ["echo ${build.ID} ${source.name}", <<-EOT
      text ${local.sum}
      %{~ for p in local.parts ~}
      ${p}
      %{~ endfor ~}
    EOT
    ]
    pause_before    = "1s"
    max_retries     = 2
    override = { a = { inline = [] } }
  }
  error-cleanup-provisioner "shell-local" { inline = ["true"] }
  post-processors {
    post-processor "manifest" {
      output = "m.json"
      keep_input_artifact = true
    }
    post-processor "checksum" { checksum_types = ["md5", "sha256"] }
  }
}
