packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1.0"
    }
    ansible = {
      source  = "github.com/hashicorp/ansible"
      version = ">= 1.1.0"
    }
  }
}

variable "cloud_image" {
  type        = string
  description = "A cloud image of Debian 12 (genericcloud, qcow2): an address or a path."
}

variable "cloud_image_checksum" {
  type    = string
  default = "none"
}

variable "build_password" {
  type      = string
  default   = "build-time-only"
  sensitive = true
}

locals {
  output = "output-kubevirt"
  disk   = "${local.output}/disk.qcow2"
}

source "qemu" "kubevirt" {
  disk_image   = true
  iso_url      = var.cloud_image
  iso_checksum = var.cloud_image_checksum
  disk_size    = "10G"
  disk_discard = "unmap"
  format       = "qcow2"
  cpus         = 2
  memory       = 2048
  headless     = true

  # KubeVirt's own way to hand over user-data: a CD that cloud-init knows by its label.
  cd_label = "cidata"
  cd_content = {
    "meta-data" = "instance-id: kubevirt-ready-build\n"
    "user-data" = templatefile("${path.root}/seed/user-data.pkrtpl.hcl", { password = var.build_password })
  }

  ssh_username     = "builder"
  ssh_password     = var.build_password
  ssh_timeout      = "15m"
  shutdown_command = "sudo sh -c 'userdel -fr builder; rm -f /etc/sudoers.d/90-cloud-init-users; systemctl poweroff'"

  output_directory = local.output
  vm_name          = "disk.qcow2"
}

build {
  name    = "kubevirt-ready"
  sources = ["source.qemu.kubevirt"]

  provisioner "shell" {
    inline = ["cloud-init status --wait || true"]
  }

  provisioner "ansible" {
    playbook_file   = "${path.root}/playbook.yml"
    user            = "builder"
    extra_arguments = ["--scp-extra-args", "'-O'"]
  }

  provisioner "shell" {
    inline = ["sudo cloud-init clean --logs --machine-id"]
  }

  post-processors {
    # virt-sparsify also finds free space that the guest never trimmed.
    post-processor "shell-local" {
      environment_vars = ["DISK=${local.disk}"]
      inline = [
        "virt-sparsify --quiet --in-place \"$DISK\"",
        "qemu-img convert -c -O qcow2 \"$DISK\" \"$DISK.compressed\"",
        "mv \"$DISK.compressed\" \"$DISK\"",
      ]
    }
    post-processor "checksum" {
      checksum_types = ["sha256"]
      output         = "${local.output}/disk.sha256"
    }
  }
}
