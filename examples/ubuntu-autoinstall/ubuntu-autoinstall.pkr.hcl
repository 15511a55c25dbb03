packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1.0"
    }
  }
}

variable "iso_url" {
  type        = string
  description = "The live server ISO of Ubuntu 24.04: an address or a path."
}

variable "iso_checksum" {
  type        = string
  description = "As published beside the ISO, for example sha256:…, or file: and the address of SHA256SUMS."
}

variable "build_password" {
  type        = string
  description = "Of the account that the installer makes and that provisions the image."
  default     = "build-time-only"
  sensitive   = true
}

locals {
  user_data = templatefile("${path.root}/user-data.pkrtpl.hcl", {
    hostname      = "ubuntu"
    username      = "builder"
    password_hash = bcrypt(var.build_password)
  })
}

source "qemu" "ubuntu" {
  iso_url      = var.iso_url
  iso_checksum = var.iso_checksum
  disk_size    = "20G"
  disk_discard = "unmap"
  format       = "qcow2"
  cpus         = 2
  memory       = 4096
  headless     = true

  efi_boot          = true
  efi_firmware_code = "/usr/share/OVMF/OVMF_CODE_4M.fd"
  efi_firmware_vars = "/usr/share/OVMF/OVMF_VARS_4M.fd"

  http_content = {
    "/meta-data" = ""
    "/user-data" = local.user_data
  }

  # GRUB's command line; the quotes keep GRUB from reading the semicolon as the end of the command.
  boot_wait = "5s"
  boot_command = [
    "c<wait>",
    "linux /casper/vmlinuz --- autoinstall 'ds=nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/'<enter><wait>",
    "initrd /casper/initrd<enter><wait>",
    "boot<enter>",
  ]

  # The installer runs an SSH server too, but with another account, so the first login is to the installed system.
  ssh_username           = "builder"
  ssh_password           = var.build_password
  ssh_timeout            = "90m"
  ssh_handshake_attempts = 1000
  shutdown_command       = "sudo systemctl poweroff"

  output_directory = "output-ubuntu"
  vm_name          = "ubuntu-24.04.qcow2"
}

build {
  sources = ["source.qemu.ubuntu"]

  provisioner "shell" {
    inline = [
      "cloud-init status --wait || true",
      "sudo apt-get -q -y autoremove --purge",
      "sudo cloud-init clean --logs --machine-id",
      "sudo rm -f /etc/ssh/ssh_host_* /etc/netplan/50-cloud-init.yaml",
      "sudo fstrim -av",
    ]
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "output-ubuntu/{{.BuildName}}.{{.ChecksumType}}"
  }
}
